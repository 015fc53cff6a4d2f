package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/bench/pace"
	"github.com/tasklane/tasks/bench/page"
)

// sample is what a minute showed.
type sample struct {
	Mode       string                `json:"mode"`
	Seconds    float64               `json:"seconds"`
	Load       string                `json:"machine_load"`
	Created    float64               `json:"created_per_s"`
	Completed  float64               `json:"completed_per_s"`
	Deleted    float64               `json:"deleted_per_s"`
	DeleteCPU  float64               `json:"delete_session_cpu_ms"`
	WALMB      float64               `json:"wal_mb"`
	Create     pace.Latency          `json:"create"`
	Claim      pace.Latency          `json:"claim"`
	Complete   pace.Latency          `json:"complete"`
	Delete     pace.Latency          `json:"delete"`
	Table      table                 `json:"table"`
	Pages      map[string]int64      `json:"pages"`
	Statements map[string]statements `json:"statements"`
}

// table is what the server's statistics say of tasks.
type table struct {
	Live     int64   `json:"live_rows"`
	Dead     int64   `json:"dead_rows"`
	Vacuums  int64   `json:"autovacuums"`
	Analyzes int64   `json:"autoanalyzes"`
	Phase    *string `json:"vacuum_phase"`
	WAL      int64   `json:"-"`
}

const readTable = `
SELECT n_live_tup AS live, n_dead_tup AS dead, autovacuum_count AS vacuums, autoanalyze_count AS analyzes,
    (SELECT phase FROM pg_stat_progress_vacuum AS now WHERE now.relid = tasks.relid) AS phase,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal
FROM pg_stat_user_tables AS tasks WHERE relname = 'tasks'`

// statements are those of one name.
type statements struct {
	Calls   int64   `json:"calls"`
	Millis  float64 `json:"ms"`
	Touched int64   `json:"pages_touched"`
	Read    int64   `json:"pages_read"`
	Dirtied int64   `json:"pages_dirtied"`
	WAL     int64   `json:"wal_bytes"`
}

const readStatements = `
SELECT substring(query FROM '-- name: (\w+)') AS name, sum(calls)::bigint, sum(total_exec_time),
    sum(shared_blks_hit + shared_blks_read)::bigint, sum(shared_blks_read)::bigint, sum(shared_blks_dirtied)::bigint,
    sum(wal_bytes)::bigint
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query LIKE '%-- name: %'
GROUP BY name`

// sampler measures from begin to end.
type sampler struct {
	m       *measurement
	deleter uint32 // the process of the session that deletes
	began   time.Time
	wal     int64
	cpu     time.Duration
}

func newSampler(ctx context.Context, m *measurement, deleter *pgxpool.Pool) (*sampler, error) {
	conn, err := deleter.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release()
	return &sampler{m: m, deleter: conn.Conn().PgConn().PID()}, nil
}

func (s *sampler) begin(ctx context.Context) error {
	if _, err := s.m.pool.Exec(ctx, "SELECT pg_stat_statements_reset()"); err != nil {
		return err
	}
	now, err := one[table](ctx, s.m.pool, readTable)
	if err != nil {
		return err
	}
	if s.cpu, err = s.used(); err != nil {
		return err
	}
	for _, t := range []*pace.Times{&s.m.creates, &s.m.claims, &s.m.completes, &s.m.deletes} {
		t.Take()
	}
	s.m.created.Store(0)
	s.m.completed.Store(0)
	s.m.deleted.Store(0)
	s.began, s.wal = time.Now(), now.WAL
	return nil
}

func (s *sampler) end(ctx context.Context, mode string) (sample, error) {
	seconds := time.Since(s.began).Seconds()
	res := sample{
		Mode: mode, Seconds: seconds, Load: page.Load(),
		Created: float64(s.m.created.Load()) / seconds, Completed: float64(s.m.completed.Load()) / seconds,
		Deleted: float64(s.m.deleted.Load()) / seconds,
		Create:  s.m.creates.Take(), Claim: s.m.claims.Take(), Complete: s.m.completes.Take(), Delete: s.m.deletes.Take(),
		Statements: make(map[string]statements),
	}
	cpu, err := s.used()
	if err != nil {
		return res, err
	}
	res.DeleteCPU = (cpu - s.cpu).Seconds() * 1000
	if res.Table, err = one[table](ctx, s.m.pool, readTable); err != nil {
		return res, err
	}
	res.WALMB = float64(res.Table.WAL-s.wal) / 1e6
	if res.Pages, err = pages(ctx, s.m.pool); err != nil {
		return res, err
	}
	rows, err := s.m.pool.Query(ctx, readStatements)
	if err != nil {
		return res, err
	}
	var name string
	var st statements
	into := []any{&name, &st.Calls, &st.Millis, &st.Touched, &st.Read, &st.Dirtied, &st.WAL}
	_, err = pgx.ForEachRow(rows, into, func() error {
		res.Statements[name] = st
		return nil
	})
	return res, err
}

// used is the processor time of the session that deletes.
func (s *sampler) used() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", s.deleter))
	if err != nil {
		return 0, err
	}
	var n int64 // nanoseconds, the first figure of the file
	_, err = fmt.Sscan(string(stat), &n)
	return time.Duration(n), err
}

func (s sample) String() string {
	return fmt.Sprintf("%-26s created %4.0f, completed %4.0f, deleted %4.0f a second; p99 create %5.1f, claim %5.1f, "+
		"delete %5.0f ms; dead %8d, vacuums %d; load %s", s.Mode, s.Created, s.Completed, s.Deleted,
		s.Create.P99, s.Claim.P99, s.Delete.P99, s.Table.Dead, s.Table.Vacuums, s.Load)
}

// pages are the sizes of the table and its indexes, in pages.
func pages(ctx context.Context, pool *pgxpool.Pool) (map[string]int64, error) {
	rows, err := pool.Query(ctx, `
SELECT relname, pg_relation_size(oid) / 8192 FROM pg_class
WHERE oid = 'tasks'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'tasks'::regclass)`)
	if err != nil {
		return nil, err
	}
	res := make(map[string]int64)
	var name string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		res[name] = n
		return nil
	})
	return res, err
}

func one[T any](ctx context.Context, pool *pgxpool.Pool, sql string) (T, error) {
	rows, err := pool.Query(ctx, sql)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[T])
}
