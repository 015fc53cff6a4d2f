package main

import "fmt"

// target is a promised ratio with what was measured.
type target struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  spread `json:"got"`
	Met  bool   `json:"met"`
}

// promise says how many times the figure of one entry (over) must be that of another (under): at least bound,
// or, with most, at most bound.
type promise struct {
	what, workload string
	over, under    string
	figure         func(sample) float64
	bound          float64
	most           bool
}

var promises = []promise{
	{"create one, 64 goroutines, to pgx", "create-64", ours, "pgx", rate, 3, false},
	{"create one, 64 goroutines, to gorm", "create-64", ours, "gorm", rate, 4, false},
	{"create one, 1 goroutine, to pgx", "create-1", ours, "pgx", rate, 0.95, false},
	{"create 1,000, to gorm", "create-many-1000", ours, "gorm", rate, 1.3, false},
	{"create 1,000, to bare COPY", "create-many-1000", ours, "pgx", rate, 0.95, false},
	{
		"create 1,000, to the same without the indexes of claims by kind", "create-many-1000-bare",
		ours, "taskstore, without", rate, 0.9, false,
	},
	{"get, 8 goroutines, to pgx", "get-8", ours, "pgx", rate, 0.95, false},
	{"get, 8 goroutines, to gorm", "get-8", ours, "gorm", rate, 1.3, false},
	{"list 100, to pgx", "list-100", ours, "pgx", rate, 0.95, false},
	{"list 100, to gorm", "list-100", ours, "gorm", rate, 3, false},
	{"claim and complete by 100, to river", "work-100", ours, "river", rate, 1, false},
	{"claim and complete by 100, to gorm", "work-100", ours, "gorm", rate, 8, false},
	{"claim and complete by 500, to river", "work-500", ours, "river", rate, 1.3, false},
	{
		"claim and complete after 1,000,000 rows, to itself", "work-100-finished",
		ours, "taskstore, empty table", rate, 0.9, false,
	},
	{
		"time of a claim beside an old snapshot, to itself", "claim-1-snapshot",
		ours, "taskstore, no snapshot", mean, 1.5, true,
	},
	{"time of a claim from an empty queue beside an old snapshot, to itself", "claim-idle-snapshot", ours,
		"taskstore, no snapshot", mean, 1.5, true},
	{"allocations of a get, to pgx", "get-8", ours, "pgx", allocs, 1, true},
	{"allocations of a listed row, to pgx", "list-100", ours, "pgx", allocs, 1, true},
}

// apartPromises say that sharing statements never costs much, however far the server is.
func apartPromises() []promise {
	var ps []promise
	for _, home := range createHomes {
		for _, workers := range createWorkers {
			name := createAwayName(home, workers)
			ps = append(ps, promise{name + ", to the same alone", name, ours, alone, rate, 0.9, false})
		}
	}
	return ps
}

// judge compares the results with the promises. It leaves out promises whose workload was not measured.
func judge(results []result) []target {
	var ts []target
	for _, p := range append(apartPromises(), promises...) {
		for _, r := range results {
			if r.Name != p.workload {
				continue
			}
			got, ok := r.ratio(p.over, p.under, p.figure)
			if !ok {
				continue
			}
			t := target{What: p.what, Want: fmt.Sprintf("%.2f ×", p.bound), Got: got, Met: got.Median >= p.bound}
			if p.most {
				// Allocations are counted for the whole process, so up to a hundredth may be somebody else's.
				t.Want, t.Met = fmt.Sprintf("at most %.2f ×", p.bound), got.Median <= p.bound*1.01
			}
			ts = append(ts, t)
		}
	}
	return ts
}
