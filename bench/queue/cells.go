package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/pgserver"
)

// cell is one thing to measure, of each of its entries.
type cell struct {
	name, what string
	rounds     int
	entries    []entry
}

// entry is a system in a situation.
type entry struct {
	label   string
	system  system
	how     string // what kind of worker
	prepare func(ctx context.Context, url string) (end func(), err error)
	measure func(ctx context.Context, s session) (sample, error)
}

// sample is one measurement.
type sample struct {
	Rate   float64 `json:"rate"`   // handled a second
	P50    float64 `json:"p50_ms"` // of the time from a task's creation to its handler's start
	P95    float64 `json:"p95_ms"`
	P99    float64 `json:"p99_ms"`
	Worker float64 `json:"worker_cores"` // that the worker's process uses
	Server float64 `json:"server_cores"` // that the sessions of the database use; 0: not known
}

const depth, batchSize = 4000, 128 // what the producer keeps pending, and creates at once

func allCells(o options) (cells []cell) {
	all := chosen(o)
	each := func(name, what string, rounds int, e entry) {
		c := cell{name: name, what: what, rounds: rounds}
		for _, s := range all {
			e.label, e.system = s.name, s
			c.entries = append(c.entries, e)
		}
		cells = append(cells, c)
	}
	for _, handlers := range []int{4, 16, 64, 128, 256} {
		each(fmt.Sprintf("load-%d", handlers), fmt.Sprintf("%d handlers of 1 ms, 4,000 pending", handlers), o.rounds,
			entry{measure: loaded(handlers, 2*time.Second, o.measure)})
	}
	for _, handlers := range []int{64, 256} {
		for _, beside := range []struct {
			name, what string
			prepare    func(context.Context, string) (func(), error)
		}{
			{"long", "the last quarter of a long time", nil},
			{"snapshot", "the same beside an idle transaction that holds a snapshot", holdSnapshot},
			{"readers", "the same beside four readers in repeatable read", readAgain},
		} {
			each(fmt.Sprintf("%s-%d", beside.name, handlers), fmt.Sprintf("%d handlers, %s", handlers, beside.what), 1,
				entry{prepare: beside.prepare, measure: loaded(handlers, o.hold*3/4, o.hold/4)})
		}
	}
	each("idle-same", "a task on an idle system, created by the worker's process", 1,
		entry{measure: idle(o.pickups, true)})
	each("idle-other", "a task on an idle system, created by another process", 1,
		entry{measure: idle(o.pickups, false)})
	each("nothing", "a worker that has had nothing to do for 20 seconds", 1,
		entry{measure: nothing(o.hold/6, o.hold/6)})
	for i := len(cells) - 2; i < len(cells); i++ { // the last two, also for one of ours that looks more often
		e := cells[i].entries[0]
		e.label, e.how = oursAlert, howAlert
		cells[i].entries = append(cells[i].entries, e)
	}
	spread := cell{name: "fair", rounds: o.rounds,
		what: "49 integrations of 10 tasks a second each, beside one with 200,000 pending and without; 64 handlers, Fair"}
	for label, prepare := range map[string]func(context.Context, string) (func(), error){
		ours: backlogOfOne, withoutBacklog: nil,
	} {
		spread.entries = append(spread.entries, entry{label: label, system: all[0], how: howFair, prepare: prepare,
			measure: trickle(2*time.Second, 2*o.measure)})
	}
	return append(cells, spread)
}

const (
	withoutBacklog = "taskwork, without"
	oursAlert      = "taskwork, Poll 0.1 s"
)

// run measures the entries round by round, in another order each time. So other load that lasts for a while disturbs
// all of them.
func (c cell) run(ctx context.Context, server *pgserver.Server, o options) (result, error) {
	res := result{Name: c.name, What: c.what, Samples: make(map[string][]sample)}
	for _, e := range c.entries {
		res.Labels = append(res.Labels, e.label)
	}
	rounds := min(c.rounds, o.rounds)
	for round := range rounds {
		for _, i := range rand.Perm(len(c.entries)) {
			e := c.entries[i]
			s, err := e.once(ctx, server)
			if err != nil {
				return res, fmt.Errorf("%s, round %d: %w", e.label, round+1, err)
			}
			res.Samples[e.label] = append(res.Samples[e.label], s)
			log.Printf("%-14s %d/%d  %-18s %7.0f/s  p50 %8.2f  p95 %8.2f  p99 %8.2f ms  worker %.3f  server %.3f cores",
				c.name, round+1, rounds, e.label, s.Rate, s.P50, s.P95, s.P99, s.Worker, s.Server)
		}
	}
	return res, nil
}

// once measures an entry on a database of its own.
func (e entry) once(ctx context.Context, server *pgserver.Server) (s sample, err error) {
	url, drop, err := server.CreateDatabase(ctx)
	if err != nil {
		return s, err
	}
	defer drop() //nolint:errcheck // it ends with the server
	on := session{system: e.system, how: e.how, url: url}
	if err := on.open(ctx); err != nil {
		return s, err
	}
	defer on.close()
	if e.prepare != nil {
		end, err := e.prepare(ctx, url)
		if err != nil {
			return s, err
		}
		defer end()
	}
	return e.measure(ctx, on)
}

// holdSnapshot leaves a transaction idle that has a snapshot, as a forgotten session does.
func holdSnapshot(ctx context.Context, url string) (func(), error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	err = look(ctx, conn)
	return func() { conn.Close(context.WithoutCancel(ctx)) }, err
}

// readAgain has four sessions, each of which holds a snapshot for ten seconds, over and over.
func readAgain(ctx context.Context, url string) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	for i := range 4 {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			cancel()
			return nil, err
		}
		go func() {
			defer conn.Close(context.WithoutCancel(ctx))
			for first := time.Duration(i) * 2500 * time.Millisecond; look(ctx, conn) == nil; first = 0 {
				select {
				case <-ctx.Done():
					return
				case <-time.After(10*time.Second - first):
				}
				if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
					return
				}
			}
		}()
	}
	return cancel, nil
}

// look takes a snapshot.
func look(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "SELECT count(*) FROM pg_class")
	return err
}

// backlogOfOne gives 200,000 pending tasks to one integration.
func backlogOfOne(ctx context.Context, url string) (func(), error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		SELECT 1000, i % 50000, i % 1000, i % 5000, i % 20, '{"at":0}' FROM generate_series(1, 200000) AS i`)
	return func() {}, err
}
