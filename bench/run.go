package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/bench/peer"
	"github.com/tasklane/tasks/internal/pgserver"
)

// ours is the label of the entry that the others are compared with.
const ours = "taskstore"

// result has everything that was measured of a workload.
type result struct {
	Name    string              `json:"name"`
	What    string              `json:"what"`
	Workers int                 `json:"workers"`
	Labels  []string            `json:"entries"`
	Samples map[string][]sample `json:"samples"` // by label, one for each round
}

type runner struct {
	options
	server *pgserver.Server
	label  *regexp.Regexp
	homes  map[string]*database
}

func (r *runner) close() {
	for _, d := range r.homes {
		if err := d.close(); err != nil {
			log.Print(err)
		}
	}
}

// home returns a database, with the peers connected.
func (r *runner) home(ctx context.Context, name string) (*database, error) {
	d := r.homes[name]
	if d == nil {
		var err error
		if d, err = newDatabase(ctx, r.server, name, r.conns); err != nil {
			return nil, err
		}
		r.homes[name] = d
	}
	return d, d.connect(ctx)
}

// measure runs a workload's entries round by round, in another order each time. So other load that lasts for a
// while disturbs all of them.
func (r *runner) measure(ctx context.Context, w workload) (result, error) {
	defer func() {
		for _, d := range r.homes {
			d.disconnect()
		}
	}()
	res := result{Name: w.name, What: w.what, Workers: w.workers, Samples: make(map[string][]sample)}
	entries := slices.DeleteFunc(slices.Clone(w.entries), func(e entry) bool {
		return e.Peer == "pgbench" && peer.FindPGBench(r.server.URL) == nil ||
			e.Label != ours && !r.label.MatchString(e.Label)
	})
	for _, e := range entries {
		res.Labels = append(res.Labels, e.Label)
	}
	rounds := r.rounds
	if w.rounds > 0 {
		rounds = min(rounds, w.rounds)
	}
	for round := range rounds {
		rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		for _, e := range entries {
			s, err := r.once(ctx, w, e)
			if err != nil {
				return res, fmt.Errorf("%s, round %d: %w", e.Label, round+1, err)
			}
			res.Samples[e.Label] = append(res.Samples[e.Label], s)
			log.Printf("%-22s %d/%d  %-22s %10.0f rows/s  p50 %8.3f ms", w.name, round+1, rounds, e.Label, s.Rate, s.P50)
		}
	}
	return res, nil
}

// once does one measurement, and checks the number of rows against the table.
func (r *runner) once(ctx context.Context, w workload, e entry) (s sample, err error) {
	d, err := r.home(ctx, e.Home)
	if err != nil {
		return s, err
	}
	if e.Peer == "river" {
		return r.riverOnce(ctx, w, d)
	}
	if err := w.prepare(ctx, d); err != nil {
		return s, err
	}
	if err := d.settle(ctx); err != nil {
		return s, err
	}
	if e.Peer == "pgbench" {
		return r.pgbenchOnce(ctx, w, d)
	}
	op, err := w.op(ctx, d, d.peers[e.Peer])
	if err != nil {
		return s, err
	}
	const warm = 10
	if !w.cold { // warm up connections, plans and pages
		if _, err := loop(ctx, op, w.workers, seconds(r.seconds/5), warm, 0); err != nil {
			return s, fmt.Errorf("while warming up: %w", err)
		}
	}
	before, err := d.count(ctx, w.added...)
	if err != nil {
		return s, err
	}
	limit := seconds(r.seconds)
	if w.limit > 0 {
		limit = 2 * limit // the workload ends by itself; this is the limit for slow entries
	}
	if w.limit == 1 {
		limit = time.Hour
	}
	if s, err = loop(ctx, op, w.workers, limit, w.limit, warm); err != nil || w.added == nil {
		return s, err
	}
	after, err := d.count(ctx, w.added...)
	if err == nil && after-before != s.Rows {
		err = fmt.Errorf("%d rows were worked on, %d are in the table", s.Rows, after-before)
	}
	return s, err
}

func (r *runner) pgbenchOnce(ctx context.Context, w workload, d *database) (s sample, err error) {
	before, err := d.count(ctx, w.added...)
	if err != nil {
		return s, err
	}
	transactions := w.limit / w.rows // 0: as many as the time allows
	if w.limit == 1 {
		transactions = 1
	}
	lat, elapsed, err := d.pgbench.Run(ctx, w.script, min(w.workers, r.conns), seconds(max(1, r.seconds)), transactions)
	if err != nil {
		return s, err
	}
	rows := len(lat) * w.rows
	if w.added != nil {
		after, err := d.count(ctx, w.added...)
		if err != nil {
			return s, err
		}
		if rows = after - before; rows == 0 {
			return s, fmt.Errorf("pgbench changed nothing")
		}
	}
	return summarize(lat, rows, elapsed, 0, 0)
}

func (r *runner) riverOnce(ctx context.Context, w workload, d *database) (s sample, err error) {
	if err := d.river.Fill(ctx, w.limit); err != nil {
		return s, err
	}
	if err := d.exec(ctx, "VACUUM ANALYZE river_job", "CHECKPOINT"); err != nil {
		return s, err
	}
	elapsed, err := d.river.Work(ctx, w.limit, w.workers, w.rows)
	return sample{Rate: float64(w.limit) / elapsed.Seconds(), Rows: w.limit, Secs: elapsed.Seconds()}, err
}

func readOne(ctx context.Context, url, sql string, to any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql).Scan(to)
}
