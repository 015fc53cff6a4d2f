package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// report is what is printed, saved and drawn.
type report struct {
	Machine string   `json:"machine"`
	Conns   int      `json:"connections"` // of each peer's pool
	Rounds  int      `json:"rounds"`
	Results []result `json:"results"`
	Targets []target `json:"targets,omitempty"`
}

// medianOf returns the median of one figure over all rounds of an entry.
func (r result) medianOf(label string, figure func(sample) float64) float64 {
	var values []float64
	for _, s := range r.Samples[label] {
		values = append(values, figure(s))
	}
	return median(values)
}

func rate(s sample) float64   { return s.Rate }
func mean(s sample) float64   { return s.Mean }
func p50(s sample) float64    { return s.P50 }
func p99(s sample) float64    { return s.P99 }
func cpu(s sample) float64    { return s.CPU }
func allocs(s sample) float64 { return s.Allocs }

// spread is a ratio that was computed for each round.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f–%.2f)", s.Median, s.Min, s.Max) }

// ratio divides a figure of one entry by that of another, round by round.
func (r result) ratio(over, under string, figure func(sample) float64) (spread, bool) {
	a, b := r.Samples[over], r.Samples[under]
	var values []float64
	for i := range min(len(a), len(b)) {
		if figure(b[i]) > 0 {
			values = append(values, figure(a[i])/figure(b[i]))
		}
	}
	if len(values) == 0 {
		return spread{}, false
	}
	return spread{median(values), slices.Min(values), slices.Max(values)}, true
}

func (rep *report) print(w io.Writer) {
	fmt.Fprintf(w, "%s; pools of %d; medians of %d rounds\n", rep.Machine, rep.Conns, rep.Rounds)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, r := range rep.Results {
		fmt.Fprintf(tw, "\n%s: %s\n", r.Name, r.What)
		fmt.Fprintln(tw, "\trows/s\tp50 ms\tp99 ms\tclient µs/op\tallocs/op\tours is × this (least–most)\t")
		for _, label := range r.Labels {
			ratio, _ := r.ratio(ours, label, rate)
			fmt.Fprintf(tw, "%s\t%.0f\t%s\t%s\t%s\t%s\t%v\t\n", label, r.medianOf(label, rate),
				orDash("%.3f", r.medianOf(label, p50)), orDash("%.3f", r.medianOf(label, p99)),
				orDash("%.1f", r.medianOf(label, cpu)), orDash("%.0f", r.medianOf(label, allocs)), ratio)
		}
	}
	_ = tw.Flush() // an error is ignored, as with any print to standard output
	rep.Targets = judge(rep.Results)
	if len(rep.Targets) == 0 {
		return
	}
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "goal\tat least\tmeasured (least–most)\t")
	for _, t := range rep.Targets {
		verdict := "met"
		if !t.Met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(tw, "%s\t%s\t%v\t%s\n", t.What, t.Want, t.Got, verdict)
	}
	_ = tw.Flush()
}

// orDash prints a figure, or a dash if the entry does not have it.
func orDash(format string, v float64) string {
	if v == 0 {
		return "–"
	}
	return fmt.Sprintf(format, v)
}

func (rep *report) save(o options) error {
	data, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.json, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return draw(rep, o.svg)
}

func redraw(o options) error {
	data, err := os.ReadFile(o.redraw)
	if err != nil {
		return err
	}
	var rep report
	if err := json.Unmarshal(data, &rep); err != nil {
		return fmt.Errorf("%s: %w", o.redraw, err)
	}
	return draw(&rep, o.svg)
}
