package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tasklane/tasks/bench/page"
)

// report is what is saved and shown.
type report struct {
	Rows int64    `json:"rows"`
	Load float64  `json:"machine_load"` // of the last minute before the first back-fill, where the system tells
	Runs []result `json:"runs"`
}

const (
	begin = "<!-- What follows is written by make bench-backfill. -->\n"
	end   = "<!-- What make bench-backfill writes ends here. -->\n"
)

// write saves the figures, and puts the table in its place on the page.
func (r report) write() error {
	fmt.Print(r.table())
	return errors.Join(page.Save("backfill.json", r), page.Put(begin, end, r.table()))
}

func (r report) table() string {
	var b strings.Builder
	row := func(label string, cell func(result) string) {
		b.WriteString("| " + label + " |")
		for _, run := range r.Runs {
			b.WriteString(" " + cell(run) + " |")
		}
		b.WriteString("\n")
	}
	number := func(format string, values func(result) []any) func(result) string {
		return func(run result) string { return fmt.Sprintf(format, values(run)...) }
	}
	fmt.Fprintf(&b, "\n%d rows; the machine's load was %.2f before the back-fill.\n\n", r.Rows, r.Load)
	row("`--backfill-max-lag`", func(run result) string { return run.MaxLag })
	b.WriteString("|---" + strings.Repeat("|---", len(r.Runs)) + "|\n")
	row("time, s", number("%.0f", func(r result) []any { return []any{r.Seconds} }))
	row("WAL, the writers' too, MB (bytes a row)", number("%.0f (%.0f)", func(r result) []any {
		return []any{r.WALMB, r.WALPerRow}
	}))
	row("pages written whole to it", number("%d", func(r result) []any { return []any{r.FullPages} }))
	row("updates that left the indexes alone (HOT), %", number("%.0f", func(r result) []any { return []any{r.HOT} }))
	row("table before and after, MB",
		number("%.0f, %.0f", func(r result) []any { return []any{r.TableMB[0], r.TableMB[1]} }))
	row("its indexes before and after, MB",
		number("%.0f, %.0f", func(r result) []any { return []any{r.IndexesMB[0], r.IndexesMB[1]} }))
	row("dead rows: most, at the end", number("%d, %d", func(r result) []any { return []any{r.DeadMost, r.DeadEnd} }))
	row("runs of autovacuum", number("%d", func(r result) []any { return []any{r.Vacuums} }))
	row("the standby's lag at most, MB", number("%.0f", func(r result) []any { return []any{r.LagMB} }))
	row("a write, median: alone, during, ms",
		number("%.1f, %.1f", func(r result) []any { return []any{r.Quiet.P50, r.During.P50} }))
	row("p99: alone, during, ms (ratio)", number("%.1f, %.1f (%.2f)",
		func(r result) []any { return []any{r.Quiet.P99, r.During.P99, r.During.P99 / r.Quiet.P99} }))
	row("longest: alone, during, ms (ratio)", number("%.0f, %.0f (%.2f)",
		func(r result) []any {
			return []any{r.Quiet.Longest, r.During.Longest, r.During.Longest / r.Quiet.Longest}
		}))
	b.WriteString("\n")
	return b.String()
}
