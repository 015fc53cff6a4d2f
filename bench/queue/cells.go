package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/internal/pgserver"
)

// cell is one thing to measure, of each of its entries.
type cell struct {
	name, what string
	rounds     int
	together   bool // its entries do next to nothing, so they are measured at the same time
	entries    []entry
}

// entry is a system in a situation.
type entry struct {
	label   string
	system  system
	how     string // what kind of worker
	measure func(ctx context.Context, s *session) (sample, error)
}

// sample is one measurement.
type sample struct {
	Rate   float64 `json:"rate,omitempty"`   // completed a second
	Before float64 `json:"before,omitempty"` // the same, in the same session, before what it is measured beside began
	P50    float64 `json:"p50_ms,omitempty"` // of the time from a task's creation to its handler's start
	P95    float64 `json:"p95_ms,omitempty"`
	P99    float64 `json:"p99_ms,omitempty"`
	Worker float64 `json:"worker_cores,omitempty"` // that the worker's process uses
	Server float64 `json:"server_cores,omitempty"` // that the sessions of the database use, where Linux tells it

	// After an attack.
	Lost  int     `json:"lost,omitempty"`    // tasks that were not completed, or have no effect
	Twice int     `json:"twice,omitempty"`   // effects too many
	Pause float64 `json:"pause_s,omitempty"` // the longest time without any effect
}

func allCells(o options) []cell {
	systems := chosen(o)
	each := func(c cell, measure func(context.Context, *session) (sample, error)) cell {
		for _, s := range systems {
			c.entries = append(c.entries, entry{label: s.name, system: s, measure: measure})
		}
		return c
	}
	var cells []cell
	for _, handlers := range []int{4, 16, 64, 128, 256} {
		cells = append(cells, each(cell{name: fmt.Sprintf("load-%d", handlers), rounds: o.rounds,
			what: fmt.Sprintf("%d handlers of 1 ms, %d pending", handlers, depth)},
			load{handlers: handlers, measure: o.measure}.run))
	}
	for _, b := range []struct {
		name, what string
		hold       time.Duration
		begin      func(context.Context, *session, float64) (func(), error)
	}{
		{"snapshot", "an idle transaction that holds a snapshot", o.hold, holdSnapshot},
		{"readers", "four sessions that read in repeatable read, ten seconds a snapshot", o.hold / 2, readAgain},
		{"overload", "1.5 times the load that it can bear", o.hold / 12, overload},
	} {
		cells = append(cells, each(cell{name: b.name, rounds: 1,
			what: fmt.Sprintf("256 handlers beside %s, for %v", b.what, b.hold)},
			load{handlers: 256, measure: o.measure, beside: b.begin, hold: b.hold}.run))
	}
	cells = append(cells,
		each(cell{name: "idle-same", rounds: 1, together: true,
			what: "a task on an idle system, created by the worker's process"}, pickups(o.pickups, true)),
		each(cell{name: "idle-other", rounds: 1, together: true,
			what: "a task on an idle system, created by another process"}, pickups(o.pickups, false)),
		each(cell{name: "nothing", rounds: 1, together: true,
			what: "a worker that has had nothing to do for a while"}, nothing(o.hold/6)),
	)
	fair := cell{name: "fair", rounds: o.rounds,
		what: "49 integrations of 10 tasks a second each, beside one with 200,000 pending and without; 64 handlers, Fair"}
	for _, e := range []struct {
		label   string
		backlog int
	}{{ours, 200_000}, {withoutBacklog, 0}} {
		fair.entries = append(fair.entries,
			entry{label: e.label, system: systems[0], how: howFair, measure: trickle(e.backlog, 2*o.measure)})
	}
	chaos := cell{name: "chaos", rounds: 1,
		what: fmt.Sprintf("%d tasks whose effects are written by Complete(ctx, tx)", effects)}
	for _, a := range attacks {
		chaos.entries = append(chaos.entries, entry{label: a.name, system: systems[0], how: howEffects, measure: a.run})
	}
	return append(cells, fair, chaos)
}

const withoutBacklog = "taskwork, without"

// run measures the entries round by round, in another order each time. So other load that lasts for a while disturbs
// all of them.
func (c cell) run(ctx context.Context, server *pgserver.Server) (result, error) {
	res := result{Name: c.name, What: c.what, At: time.Now().UTC().Truncate(time.Minute)}
	res.Samples = make(map[string][]sample)
	for _, e := range c.entries {
		res.Labels = append(res.Labels, e.label)
	}
	atOnce := 1
	if c.together {
		atOnce = len(c.entries)
	}
	for round := range c.rounds {
		for some := range slices.Chunk(rand.Perm(len(c.entries)), atOnce) {
			samples, err := c.measure(ctx, server, some)
			if err != nil {
				return res, fmt.Errorf("round %d: %w", round+1, err)
			}
			for i, s := range samples {
				label := c.entries[some[i]].label
				res.Samples[label] = append(res.Samples[label], s)
				figures, _ := json.Marshal(s) // of numbers only
				log.Printf("%-10s %d/%d  %-20s %s", c.name, round+1, c.rounds, label, figures)
			}
		}
	}
	return res, nil
}

// measure measures some entries at once, each on a database of its own.
func (c cell) measure(ctx context.Context, server *pgserver.Server, some []int) ([]sample, error) {
	samples, errs := make([]sample, len(some)), make([]error, len(some))
	var running sync.WaitGroup
	sessions := make([]*session, len(some))
	for i, n := range some {
		e := c.entries[n]
		url, drop, err := server.CreateDatabase(ctx)
		if err != nil {
			return nil, err
		}
		defer drop() //nolint:errcheck // it ends with the server
		sessions[i] = &session{system: e.system, how: e.how, url: url}
		defer sessions[i].close()
		if err := sessions[i].open(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", e.label, err)
		}
	}
	for i, n := range some {
		running.Go(func() {
			e := c.entries[n]
			if samples[i], errs[i] = e.measure(ctx, sessions[i]); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", e.label, errs[i])
			}
		})
	}
	running.Wait()
	return samples, errors.Join(errs...)
}
