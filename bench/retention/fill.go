package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// apart is how far the filled tasks are apart in time: a thousand came a second, the last one just now.
const apart = time.Millisecond

// failEvery is how often a task fails.
const failEvery = 100

// insert adds $1 finished tasks that look like those of peer.NewTask.
const insert = `
INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument, status,
    created_at, updated_at)
SELECT i, i % 200 + 1, i * 7919 % 50000 + 1, i * 31 % 1000 + 1, i * 17 % 5000 + 1, i % 20 + 1,
    '{"to":"user' || i || '@example.com","subject":"Your invoice is ready",'
        || '"locale":"en","attempt":1,"tags":["billing","monthly"]}',
    CASE WHEN i % $3 = 0 THEN 3 ELSE 2 END, $2 - $1 + i - 2000, $2 - $1 + i
FROM generate_series(1, $1::bigint) AS i`

const insertFailures = `
INSERT INTO task_failures (task_id, failures, reason, failed_at)
SELECT id, 1, $2, updated_at FROM tasks WHERE id % $1 = 0`

// fill fills the table, and then builds its indexes, as much faster as that is.
func fill(ctx context.Context, pool *pgxpool.Pool, rows int64) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	const secondary = `
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = 'tasks'::regclass AND NOT indisprimary`
	var name, definition string
	var drops, creates []string
	found, err := conn.Query(ctx, secondary)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(found, []any{&name, &definition}, func() error {
		drops, creates = append(drops, "DROP INDEX "+name), append(creates, definition)
		return nil
	})
	if err != nil {
		return err
	}
	type step struct {
		sql  string
		args []any
	}
	var steps []step
	add := func(sqls ...string) {
		for _, sql := range sqls {
			steps = append(steps, step{sql: sql})
		}
	}
	add("CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION pgstattuple", "SET maintenance_work_mem = '1GB'")
	add(drops...)
	add("BEGIN", "TRUNCATE tasks") // what the same transaction adds then needs no WAL
	steps = append(steps, step{insert, []any{rows, time.Now().UnixMilli(), failEvery}})
	add("COMMIT", fmt.Sprintf("SELECT setval(pg_get_serial_sequence('tasks', 'id'), %d)", rows))
	add(creates...)
	steps = append(steps, step{insertFailures, []any{failEvery, reason}})
	add("VACUUM ANALYZE tasks", "VACUUM ANALYZE task_failures", "CHECKPOINT", "RESET maintenance_work_mem")
	for _, s := range steps {
		began := time.Now()
		if _, err := conn.Exec(ctx, s.sql, s.args...); err != nil {
			return fmt.Errorf("%s: %w", s.sql, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			log.Printf("%.60q took %v", s.sql, took.Round(time.Second))
		}
	}
	return nil
}
