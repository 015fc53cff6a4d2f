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
	Mode      string       `json:"mode"`
	Seconds   float64      `json:"seconds"`
	Load      float64      `json:"machine_load"`
	Created   float64      `json:"created_per_s"`
	Completed float64      `json:"completed_per_s"`
	Deleted   float64      `json:"deleted_per_s"`
	DeleteCPU float64      `json:"delete_session_cpu_ms"`
	WALMB     float64      `json:"wal_mb"`
	Create    pace.Latency `json:"create"`
	Claim     pace.Latency `json:"claim"`
	Delete    pace.Latency `json:"delete"`
	counters
}

// counters are what the server tells of tasks.
type counters struct {
	Dead       int64                 `json:"dead_rows"`
	Vacuums    int64                 `json:"autovacuums"`
	WAL        int64                 `json:"-"`
	Pages      map[string]int64      `json:"pages"`
	Statements map[string]statements `json:"statements"`
}

// statements are those of one name.
type statements struct {
	Calls   int64   `json:"calls"`
	Millis  float64 `json:"ms"`
	Touched int64   `json:"pages_touched"`
	Read    int64   `json:"pages_read"`
	Dirtied int64   `json:"pages_dirtied"`
	WAL     int64   `json:"wal_bytes"`
}

const readCounters = `
SELECT n_dead_tup AS dead, autovacuum_count AS vacuums,
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint AS wal,
    (SELECT jsonb_object_agg(relname, pg_relation_size(oid) / 8192)
     FROM pg_class LEFT JOIN pg_index ON indexrelid = oid
     WHERE oid = relid OR indrelid = relid) AS pages,
    (SELECT coalesce(jsonb_object_agg(name, to_jsonb(named)), '{}')
     FROM (SELECT substring(query FROM '-- name: (\w+)') AS name, sum(calls) AS calls, sum(total_exec_time) AS ms,
               sum(shared_blks_hit + shared_blks_read) AS pages_touched, sum(shared_blks_read) AS pages_read,
               sum(shared_blks_dirtied) AS pages_dirtied, sum(wal_bytes) AS wal_bytes
           FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
           WHERE datname = current_database()
           GROUP BY name) AS named
     WHERE name IS NOT NULL) AS statements
FROM pg_stat_user_tables WHERE relname = 'tasks'`

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
	now, err := s.count(ctx)
	if err != nil {
		return err
	}
	if s.cpu, err = s.used(); err != nil {
		return err
	}
	for _, t := range []*pace.Times{&s.m.creates, &s.m.claims, &s.m.deletes} {
		t.Take()
	}
	s.m.completed.Store(0)
	s.m.deleted.Store(0)
	s.began, s.wal = time.Now(), now.WAL
	return nil
}

func (s *sampler) end(ctx context.Context, mode string) (sample, error) {
	seconds := time.Since(s.began).Seconds()
	res := sample{
		Mode: mode, Seconds: seconds, Load: page.Load(),
		Completed: float64(s.m.completed.Load()) / seconds, Deleted: float64(s.m.deleted.Load()) / seconds,
		Create: s.m.creates.Take(), Claim: s.m.claims.Take(), Delete: s.m.deletes.Take(),
	}
	res.Created = float64(res.Create.Count*createMany) / seconds
	cpu, err := s.used()
	if err != nil {
		return res, err
	}
	res.DeleteCPU = (cpu - s.cpu).Seconds() * 1000
	res.counters, err = s.count(ctx)
	res.WALMB = float64(res.WAL-s.wal) / 1e6
	return res, err
}

func (s *sampler) count(ctx context.Context) (counters, error) {
	rows, err := s.m.pool.Query(ctx, readCounters)
	if err != nil {
		return counters{}, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[counters])
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
		"delete %5.0f ms; dead %8d, vacuums %d; load %.1f", s.Mode, s.Created, s.Completed, s.Deleted,
		s.Create.P99, s.Claim.P99, s.Delete.P99, s.Dead, s.Vacuums, s.Load)
}
