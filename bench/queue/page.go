package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tasklane/tasks/bench/page"
)

// The part of the page that this program writes.
const (
	pageBegin = "<!-- make bench-queue writes from here -->\n"
	pageEnd   = "<!-- to here -->\n"
)

// writePage puts the results into the page.
func (rep *report) writePage() error {
	return page.Put(pageBegin, pageEnd, "\n"+rep.markdown()+"\n")
}

// table shows cells beside each other. Its rows are their entries.
type table struct {
	title   string
	columns []column
}

// column shows the medians of some figures of a cell.
type column struct {
	head, cell, format string
	figures            []func(sample) float64
}

type figures = []func(sample) float64

var percentiles = figures{p50, p95, p99}

var tables = []table{
	{"Completed a second", []column{
		{"4 handlers", "load-4", "%.0f", figures{rate}},
		{"16", "load-16", "%.0f", figures{rate}},
		{"64", "load-64", "%.0f", figures{rate}},
		{"128", "load-128", "%.0f", figures{rate}},
		{"256", "load-256", "%.0f", figures{rate}},
		{"64: pickup p50, p95, p99 in ms", "load-64", "%.0f", percentiles},
		{"256: µs of processor a task, worker and sessions", "load-256", "%.0f", figures{workerCost, serverCost}},
	}},
	{"256 handlers, completed a second before and beside", []column{
		{"a held snapshot", "snapshot", "%.0f", figures{before, rate}},
		{"ratio", "snapshot", "%.2f", figures{kept}},
		{"four readers", "readers", "%.0f", figures{before, rate}},
		{"ratio", "readers", "%.2f", figures{kept}},
		{"1.5 × the load", "overload", "%.0f", figures{before, rate}},
		{"ratio", "overload", "%.2f", figures{kept}},
	}},
	{"An idle system, 10 handlers", []column{
		{"pickup p50, p95, p99 in ms: created by the same process", "idle-same", "%.1f", percentiles},
		{"by another process", "idle-other", "%.1f", percentiles},
		{"nothing to do: cores of worker, sessions", "nothing", "%.4f", figures{worker, server}},
	}},
	{"49 integrations of 10 tasks a second each, beside one with 200,000 pending; 64 handlers, `Fair`", []column{
		{"pickup p50, p95, p99 in ms", "fair", "%.1f", percentiles},
	}},
	{fmt.Sprintf("Attacks on %d tasks whose effects are written with `Complete`", effects), []column{
		{"lost", "chaos", "%.0f", figures{lost}},
		{"effects twice", "chaos", "%.0f", figures{twice}},
		{"longest pause, s", "chaos", "%.1f", figures{pause}},
	}},
}

func (rep *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", rep.Machine)
	for _, name := range slices.Sorted(maps.Keys(rep.Versions)) {
		fmt.Fprintf(&b, ", %s %s", name, rep.Versions[name])
	}
	b.WriteString(".\n\n| goal | | measured: median (least–most) | |\n|---|---|---|---|\n")
	for _, v := range rep.Goals {
		bound, met := "at least", "met"
		if v.AtMost {
			bound = "at most"
		}
		if !v.Met {
			met = "**not met**"
		}
		fmt.Fprintf(&b, "| %s | %s %g | %v | %s |\n", v.What, bound, v.Want, v.Got, met)
	}
	for _, t := range tables {
		rep.write(&b, t)
	}
	return b.String()
}

func (rep *report) write(b *strings.Builder, t table) {
	head, rule := "| |", "|---|"
	var labels []string
	measured := make(map[string]bool) // by day
	for _, c := range t.columns {
		head += " " + c.head + " |"
		rule += "---|"
		r := rep.cell(c.cell)
		for _, label := range r.Labels {
			measured[r.At.Format("2006-01-02")] = true
			if !slices.Contains(labels, label) {
				labels = append(labels, label)
			}
		}
	}
	if len(labels) == 0 {
		return
	}
	days := strings.Join(slices.Sorted(maps.Keys(measured)), ", ")
	fmt.Fprintf(b, "\n**%s** (%s)\n\n%s\n%s\n", t.title, days, head, rule)
	for _, label := range labels {
		fmt.Fprintf(b, "| %s |", label)
		for _, c := range t.columns {
			var values []string
			for _, f := range c.figures {
				if s, ok := rep.cell(c.cell).of(label, "", f); ok {
					values = append(values, fmt.Sprintf(c.format, s.Median))
				}
			}
			fmt.Fprintf(b, " %s |", strings.Join(values, ", "))
		}
		b.WriteString("\n")
	}
}
