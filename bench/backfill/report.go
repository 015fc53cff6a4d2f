package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
)

// report is what is saved and shown.
type report struct {
	Rows int64    `json:"rows"`
	Load string   `json:"machine_load"` // of the last minute before the first back-fill, where the system tells
	Runs []result `json:"runs"`
}

const (
	page  = "../docs/performance.md"
	begin = "<!-- What follows is written by make bench-backfill. -->\n"
	end   = "<!-- What make bench-backfill writes ends here. -->\n"
)

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// write saves the figures, and puts the table in its place on the page.
func (r report) write() error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile("backfill.json", append(data, '\n'), 0o644); err != nil {
		return err
	}
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return errors.New(page + " does not have the two comments between which the table stands")
	}
	fmt.Print(r.table())
	return os.WriteFile(page, []byte(before+begin+r.table()+end+after), 0o644) //nolint:gosec // a page of ours
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
	fmt.Fprintf(&b, "\n%d rows; the machine's load was %s before the back-fill.\n\n", r.Rows, r.Load)
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
