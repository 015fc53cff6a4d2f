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

// insert adds finished tasks that look like those of peer.NewTask, as the first ones of an empty table.
const insert = `
INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument, status,
    created_at, updated_at)
SELECT i, i %% 200 + 1, i * 7919 %% 50000 + 1, i * 31 %% 1000 + 1, i * 17 %% 5000 + 1, i %% 20 + 1,
    '{"to":"user' || i || '@example.com","subject":"Your invoice is ready",'
        || '"locale":"en","attempt":1,"tags":["billing","monthly"]}',
    CASE WHEN i %% %[2]d = 0 THEN 3 ELSE 2 END, now_ms - %[1]d + i - 2000, now_ms - %[1]d + i
FROM generate_series(1, %[1]d::bigint) AS i,
    (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now_ms) AS clock`

const insertFailures = `
INSERT INTO task_failures (task_id, failures, reason, failed_at)
SELECT id, 1, '%s', updated_at FROM tasks WHERE status = 3`

// fill fills the table, and then builds its indexes, which takes a fraction of the time.
func fill(ctx context.Context, pool *pgxpool.Pool, rows int64) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	found, err := conn.Query(ctx, `
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = 'tasks'::regclass AND NOT indisprimary`)
	if err != nil {
		return err
	}
	steps := []string{
		"CREATE EXTENSION pg_stat_statements", "CREATE EXTENSION pgstattuple", "SET maintenance_work_mem = '1GB'",
		"BEGIN", "TRUNCATE tasks", // what the same transaction adds needs no WAL then
		fmt.Sprintf(insert, rows, failEvery),
		"COMMIT", fmt.Sprintf("SELECT setval(pg_get_serial_sequence('tasks', 'id'), %d)", rows),
	}
	var name, definition string
	_, err = pgx.ForEachRow(found, []any{&name, &definition}, func() error {
		steps = append([]string{"DROP INDEX " + name}, append(steps, definition)...)
		return nil
	})
	if err != nil {
		return err
	}
	steps = append(steps, fmt.Sprintf(insertFailures, reason), "VACUUM ANALYZE", "CHECKPOINT")
	for _, sql := range steps {
		began := time.Now()
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			log.Printf("%.60q took %v", sql, took.Round(time.Second))
		}
	}
	return conn.Conn().Close(ctx) // with its settings
}
