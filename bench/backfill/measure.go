package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/bench/pace"
)

const (
	writers  = 8
	interval = 40 * time.Millisecond // between the writes of one writer
	longRead = 5 * time.Second       // a report on the standby, which replay has to wait for, and the time between two
)

// measurement is a back-fill of one database.
type measurement struct {
	url     string
	standby *pgxpool.Pool
	rows    int64
	quiet   time.Duration
}

// result is what a back-fill cost.
type result struct {
	MaxLag    string       `json:"backfill_max_lag"`
	Seconds   float64      `json:"seconds"`
	WALMB     float64      `json:"wal_mb"`
	WALPerRow float64      `json:"wal_bytes_per_row"`
	FullPages int64        `json:"full_page_images"`
	HOT       float64      `json:"hot_percent"`
	TableMB   [2]float64   `json:"table_mb"`   // before and after
	IndexesMB [2]float64   `json:"indexes_mb"` // before and after
	DeadMost  int64        `json:"dead_rows_most"`
	DeadEnd   int64        `json:"dead_rows_at_the_end"`
	Vacuums   int64        `json:"autovacuums"`
	LagMB     float64      `json:"standby_lag_most_mb"`
	Quiet     pace.Latency `json:"writers_quiet"`
	During    pace.Latency `json:"writers_during"`
}

// state is what the server tells of the table.
type state struct {
	WAL, FullPages, Table, Indexes, Dead, Vacuums, Updates, HOT int64
}

const readState = `
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal, (SELECT wal_fpi FROM pg_stat_wal) AS fullpages,
    pg_table_size(relid) AS table, pg_indexes_size(relid) AS indexes, n_dead_tup AS dead,
    autovacuum_count AS vacuums, n_tup_upd AS updates, n_tup_hot_upd AS hot
FROM pg_stat_user_tables WHERE relname = 'tasks'`

func read(ctx context.Context, pool *pgxpool.Pool) (state, error) {
	rows, err := pool.Query(ctx, readState)
	if err != nil {
		return state{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[state])
}

// run measures the writers alone, then beside the change.
func (m measurement) run(ctx context.Context, change func() error) (result, error) {
	config, err := pgxpool.ParseConfig(m.url)
	if err != nil {
		return result{}, err
	}
	config.MaxConns = writers + 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return result{}, err
	}
	defer pool.Close()
	var res result
	if _, err := pool.Exec(ctx, "CHECKPOINT"); err != nil {
		return res, err
	}
	res.Quiet, err = m.write(ctx, pool, func() error { return pace.Sleep(ctx, m.quiet) })
	if err != nil {
		return res, err
	}
	before, err := read(ctx, pool)
	if err != nil {
		return res, err
	}
	began := time.Now()
	watching, enough := context.WithCancel(ctx)
	var seen watched
	var wg sync.WaitGroup
	wg.Go(func() { seen.err = seen.watch(watching, pool) })
	wg.Go(func() { seen.readErr = m.readOnStandby(watching) })
	res.During, err = m.write(ctx, pool, change)
	res.Seconds = time.Since(began).Seconds()
	enough()
	wg.Wait()
	// Two seconds, for the statistics to come in.
	if err := errors.Join(err, seen.err, seen.readErr, pace.Sleep(ctx, 2*time.Second)); err != nil {
		return res, err
	}
	after, err := read(ctx, pool)
	if err != nil {
		return res, err
	}
	res.WALMB = mb(after.WAL - before.WAL)
	res.WALPerRow = float64(after.WAL-before.WAL) / float64(m.rows)
	res.FullPages = after.FullPages - before.FullPages
	res.HOT = 100 * float64(after.HOT-before.HOT) / float64(after.Updates-before.Updates)
	res.TableMB = [2]float64{mb(before.Table), mb(after.Table)}
	res.IndexesMB = [2]float64{mb(before.Indexes), mb(after.Indexes)}
	res.DeadMost, res.DeadEnd, res.Vacuums = seen.dead, after.Dead, after.Vacuums-before.Vacuums
	res.LagMB = mb(seen.lag)
	return res, nil
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }

// watched is the most that was seen of some figures.
type watched struct {
	lag, dead    int64
	err, readErr error
}

func (w *watched) watch(ctx context.Context, pool *pgxpool.Pool) error {
	for pace.Sleep(ctx, 250*time.Millisecond) == nil {
		var lag, dead int64
		err := pool.QueryRow(ctx, `
SELECT coalesce((SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::bigint FROM pg_stat_replication), 0),
    (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'tasks')`).Scan(&lag, &dead)
		if err != nil && ctx.Err() == nil {
			return err
		}
		w.lag, w.dead = max(w.lag, lag), max(w.dead, dead)
	}
	return nil
}

// readOnStandby runs reports on the standby. Replay waits for a report where it would remove rows that the report may
// still see.
func (m measurement) readOnStandby(ctx context.Context) error {
	config := m.standby.Config().ConnConfig.Copy()
	primary, err := pgx.ParseConfig(m.url)
	if err != nil {
		return err
	}
	config.Database = primary.Database
	for pace.Sleep(ctx, longRead) == nil {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			continue // the database's creation is still to be replayed
		}
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err == nil {
			_, err = tx.Exec(ctx, `SELECT FROM tasks LIMIT 1`) // from here on it has a snapshot
		}
		_ = errors.Join(err, pace.Sleep(ctx, longRead)) // where the standby cancels it, the next one begins
		_ = conn.Close(context.WithoutCancel(ctx))
	}
	return nil
}

// write has the writers write, each at its steady rate, while the change goes on, and says how long the writes took
// from when they were due. A failed write is an error.
func (m measurement) write(ctx context.Context, pool *pgxpool.Pool, change func() error) (pace.Latency, error) {
	var times pace.Times
	writing, stop := context.WithCancel(ctx)
	written := make(chan error, 1)
	go func() {
		written <- pace.Keep(writing, writers, interval, func(due time.Time) error {
			defer times.Since(due)
			return m.writeOne(ctx, pool)
		})
	}()
	err := change()
	stop()
	err = errors.Join(<-written, err)
	return times.Take(), err
}

// writeOne inserts a task or changes the status of an old one.
func (m measurement) writeOne(ctx context.Context, pool *pgxpool.Pool) error {
	n := rand.Int64N(m.rows) + 1
	if n%2 == 0 {
		_, err := pool.Exec(ctx, "UPDATE tasks SET status = (status + 1) % 4 WHERE id = $1", n)
		return err
	}
	_, err := pool.Exec(ctx, `INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		VALUES ($1, $1, $1, $1, $1, '{}')`, n)
	return err
}
