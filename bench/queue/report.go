package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// report is what is kept in queue.json.
type report struct {
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Cells    []result          `json:"cells"`
	Goals    []verdict         `json:"goals"`
}

// result has everything that was measured of a cell.
type result struct {
	Name    string              `json:"name"`
	What    string              `json:"what"`
	At      time.Time           `json:"at"`
	Labels  []string            `json:"entries"`
	Samples map[string][]sample `json:"samples"` // by label, one for each round
}

// read takes over what an earlier run has kept.
func (rep *report) read(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, rep)
	}
	return err
}

func (rep *report) save(file string) error {
	data, err := json.MarshalIndent(rep, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// put adds a result, or replaces an earlier one of the same cell.
func (rep *report) put(res result) {
	i := slices.IndexFunc(rep.Cells, func(r result) bool { return r.Name == res.Name })
	if i >= 0 {
		rep.Cells[i] = res
	} else {
		rep.Cells = append(rep.Cells, res)
	}
	rep.judge()
}

// cell returns a result, which is empty if the cell was not measured.
func (rep *report) cell(name string) result {
	for _, r := range rep.Cells {
		if r.Name == name {
			return r
		}
	}
	return result{}
}

func rate(s sample) float64   { return s.Rate }
func before(s sample) float64 { return s.Before }
func kept(s sample) float64   { return s.Rate / s.Before }
func p50(s sample) float64    { return s.P50 }
func p95(s sample) float64    { return s.P95 }
func p99(s sample) float64    { return s.P99 }
func worker(s sample) float64 { return s.Worker }
func server(s sample) float64 { return s.Server }
func cores(s sample) float64  { return s.Worker + s.Server }

// The cost of a task in microseconds of processor time, that of its creation in the server included.
func workerCost(s sample) float64 { return 1e6 * s.Worker / s.Rate }
func serverCost(s sample) float64 { return 1e6 * s.Server / s.Rate }

func lost(s sample) float64  { return float64(s.Lost) }
func twice(s sample) float64 { return float64(s.Twice) }
func wrong(s sample) float64 { return float64(s.Lost + s.Twice) }
func pause(s sample) float64 { return s.Pause }

// spread is a figure of each round.
type spread struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

func (s spread) String() string {
	if s.Least == s.Most {
		return fmt.Sprintf("%.3g", s.Median)
	}
	return fmt.Sprintf("%.3g (%.3g–%.3g)", s.Median, s.Least, s.Most)
}

// of returns a figure of an entry, or its ratio to that of another in the same round.
func (r result) of(label, over string, figure func(sample) float64) (spread, bool) {
	var values []float64
	for i, s := range r.Samples[label] {
		value := figure(s)
		if over != "" {
			if i >= len(r.Samples[over]) {
				break
			}
			value /= figure(r.Samples[over][i])
		}
		values = append(values, value)
	}
	n := len(values)
	if n == 0 {
		return spread{}, false
	}
	slices.Sort(values)
	return spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}, true
}

// verdict is a goal with what was measured.
type verdict struct {
	What   string  `json:"what"`
	Want   float64 `json:"want"`
	AtMost bool    `json:"at_most"`
	Got    spread  `json:"got"`
	Met    bool    `json:"met"`
}

type goal struct {
	what, cell, label string
	over              string // what it is divided by; "": nothing
	figure            func(sample) float64
	want              float64
	atMost            bool
}

var goals = []goal{
	{"64 handlers, to River", "load-64", ours, riverDefault, rate, 4, false},
	{"64 handlers, to River at 1 ms", "load-64", ours, riverFast, rate, 1.2, false},
	{"256 handlers, to River", "load-256", ours, riverDefault, rate, 2, false},
	{"256 handlers, to River at 1 ms", "load-256", ours, riverFast, rate, 1.4, false},
	{"256 handlers, to graphile-worker", "load-256", ours, graphile, rate, 1, false},
	{"256 handlers, to pg-boss", "load-256", ours, pgBoss, rate, 1, false},
	{"256 handlers, to GORM by hand", "load-256", ours, handWritten, rate, 1, false},
	{"256 handlers beside a held snapshot, to before", "snapshot", ours, "", kept, 0.9, false},
	{"256 handlers beside four readers, to before", "readers", ours, "", kept, 0.9, false},
	{"pickup, created by the same process, p99 in ms", "idle-same", ours, "", p99, 5, true},
	{"pickup, created by another process, p50 in ms", "idle-other", ours, "", p50, 60, true},
	{"the same, p99 in ms (`Poll`)", "idle-other", ours, "", p99, 1000, true},
	{"nothing to do, cores", "nothing", ours, "", cores, 0.01, true},
	{"others' pickup beside 200,000 of one, p99, to without", "fair", ours, withoutBacklog, p99, 2, true},
}

// judge compares the results with the goals. It leaves out those that were not measured.
func (rep *report) judge() {
	all := slices.Clone(goals)
	for _, a := range attacks {
		all = append(all, goal{a.name + ": tasks lost, effects twice", "chaos", a.name, "", wrong, 0, true})
	}
	rep.Goals = nil
	for _, g := range all {
		got, ok := rep.cell(g.cell).of(g.label, g.over, g.figure)
		if !ok {
			continue
		}
		met := got.Median >= g.want
		if g.atMost {
			met = got.Median <= g.want
		}
		rep.Goals = append(rep.Goals, verdict{g.what, g.want, g.atMost, got, met})
	}
}
