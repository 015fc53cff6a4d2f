package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// report is what is printed and saved.
type report struct {
	Machine string   `json:"machine"`
	Rounds  int      `json:"rounds"`
	Measure float64  `json:"seconds"`
	Hold    float64  `json:"long_seconds"`
	Cells   []result `json:"cells"`
	Targets []target `json:"targets"`
}

// result has everything that was measured of a cell.
type result struct {
	Name    string              `json:"name"`
	What    string              `json:"what"`
	Labels  []string            `json:"entries"`
	Samples map[string][]sample `json:"samples"` // by label, one for each round
}

func (r result) median(label string, figure func(sample) float64) float64 {
	var values []float64
	for _, s := range r.Samples[label] {
		values = append(values, figure(s))
	}
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

func rate(s sample) float64  { return s.Rate }
func p50(s sample) float64   { return s.P50 }
func p95(s sample) float64   { return s.P95 }
func p99(s sample) float64   { return s.P99 }
func cores(s sample) float64 { return s.Worker + s.Server }

// target is what must show, with what did: a figure of one entry, or its ratio to that of another.
type target struct {
	What   string  `json:"what"`
	Want   float64 `json:"want"`
	AtMost bool    `json:"at_most"`
	Got    float64 `json:"got"`
	Met    bool    `json:"met"`
}

type promise struct {
	what, cell, label string
	overCell, over    string // what it is divided by; "": nothing
	figure            func(sample) float64
	want              float64
	atMost            bool
}

var promises = []promise{
	{"64 handlers, to river", "load-64", ours, "load-64", riverDefault, rate, 4, false},
	{"64 handlers, to river at 1 ms", "load-64", ours, "load-64", riverFast, rate, 1.2, false},
	{"256 handlers, to river", "load-256", ours, "load-256", riverDefault, rate, 2, false},
	{"256 handlers, to river at 1 ms", "load-256", ours, "load-256", riverFast, rate, 1.4, false},
	{"256 handlers, to graphile-worker", "load-256", ours, "load-256", graphile, rate, 1, false},
	{"256 handlers, to pg-boss", "load-256", ours, "load-256", pgBoss, rate, 1, false},
	{"256 handlers, to gorm by hand", "load-256", ours, "load-256", handWritten, rate, 1, false},
	{"64 handlers beside a snapshot, to itself", "snapshot-64", ours, "long-64", ours, rate, 0.9, false},
	{"64 handlers beside readers, to itself", "readers-64", ours, "long-64", ours, rate, 0.9, false},
	{"256 handlers beside a snapshot, to itself", "snapshot-256", ours, "long-256", ours, rate, 0.9, false},
	{"256 handlers beside readers, to itself", "readers-256", ours, "long-256", ours, rate, 0.9, false},
	{"idle, same process, p99, ms", "idle-same", ours, "", "", p99, 5, true},
	{"idle, another process, p50, ms", "idle-other", ours, "", "", p50, 60, true},
	{"idle, another process, p99, ms", "idle-other", ours, "", "", p99, 1000, true},
	{"idle, another process, Poll 0.1 s, p50, ms", "idle-other", oursAlert, "", "", p50, 60, true},
	{"idle, another process, Poll 0.1 s, p99, ms", "idle-other", oursAlert, "", "", p99, 100, true},
	{"nothing to do, of a core", "nothing", ours, "", "", cores, 0.01, true},
	{"nothing to do, Poll 0.1 s, of a core", "nothing", oursAlert, "", "", cores, 0.01, true},
	{"others' pickup beside 200,000 of one, p99, to without", "fair", ours, "fair", withoutBacklog, p99, 2, true},
}

// judge compares the results with the promises. It leaves out those that were not measured.
func judge(cells []result) (ts []target) {
	figure := func(cell, label string, f func(sample) float64) float64 {
		for _, r := range cells {
			if r.Name == cell {
				return r.median(label, f)
			}
		}
		return 0
	}
	for _, p := range promises {
		got := figure(p.cell, p.label, p.figure)
		if p.over != "" {
			over := figure(p.overCell, p.over, p.figure)
			if over == 0 {
				continue
			}
			got /= over
		}
		if got > 0 {
			ts = append(ts, target{p.what, p.want, p.atMost, got, got >= p.want != p.atMost || got == p.want})
		}
	}
	return ts
}

func (rep *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s; medians of %d rounds of %g s\n", rep.Machine, rep.Rounds, rep.Measure)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range rep.Cells {
		fmt.Fprintf(tw, "\n%s: %s\n", r.Name, r.What)
		fmt.Fprintln(tw, "\thandled/s\tp50 ms\tp95 ms\tp99 ms\tcores\t× this\t")
		for _, label := range r.Labels {
			times := ""
			if own := r.median(label, rate); own > 0 {
				times = fmt.Sprintf("%.2f", r.median(ours, rate)/own)
			}
			fmt.Fprintf(tw, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.3f\t%s\t\n", label, r.median(label, rate), r.median(label, p50),
				r.median(label, p95), r.median(label, p99), r.median(label, cores), times)
		}
	}
	fmt.Fprintln(tw, "\ngoal\twant\tgot\t")
	for _, t := range rep.Targets {
		bound, verdict := "≥", "met"
		if t.AtMost {
			bound = "≤"
		}
		if !t.Met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(tw, "%s\t%s %g\t%.3g\t%s\n", t.What, bound, t.Want, t.Got, verdict)
	}
	_ = tw.Flush() // an error is ignored, as with any print to standard output
}

func (rep *report) save(file string) error {
	data, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
