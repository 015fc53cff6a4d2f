package main

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/pgserver"
)

//go:embed dataset.sql
var dataset string

// settings are those that the planner reckons costs with: PostgreSQL's defaults, whatever the server has, and nothing
// that makes a plan depend on the machine.
var settings = [][2]string{
	{"seq_page_cost", "1"},
	{"random_page_cost", "4"},
	{"cpu_tuple_cost", "0.01"},
	{"cpu_index_tuple_cost", "0.005"},
	{"cpu_operator_cost", "0.0025"},
	{"effective_cache_size", "4GB"},
	{"work_mem", "4MB"},
	{"hash_mem_multiplier", "1"},
	{"max_parallel_workers_per_gather", "0"},
	{"jit", "off"},
}

// database is the migrated table with the data set in it. One session, since plans are prepared in it.
type database struct {
	conn    *pgx.Conn
	version int // PostgreSQL's major version
	close   func()
}

// openDatabase finds or starts a server, makes a database, migrates it and loads the data set.
func openDatabase(ctx context.Context) (*database, error) {
	srv, err := pgserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	url, drop, err := srv.CreateDatabase(ctx)
	if err != nil {
		_ = srv.Close()
		return nil, err
	}
	db := &database{close: func() { _, _ = drop(), srv.Close() }}
	if err := db.load(ctx, url); err != nil {
		db.close()
		return nil, err
	}
	return db, nil
}

func (db *database) load(ctx context.Context, url string) error {
	if _, err := migrate.Up(ctx, url, migrate.Defaults()); err != nil {
		return err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	if db.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return err
	}
	dropped := db.close
	db.close = func() { _ = db.conn.Close(context.WithoutCancel(ctx)); dropped() }
	err = db.conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&db.version)
	if err != nil {
		return err
	}
	for _, s := range settings {
		if err := db.exec(ctx, fmt.Sprintf("SET %s = '%s'", s[0], s[1])); err != nil {
			return err
		}
	}
	return db.exec(ctx,
		"SET max_parallel_maintenance_workers = 0", // an index is built the same way on every machine
		// Only what follows may change the statistics.
		"ALTER TABLE tasks SET (autovacuum_enabled = off)",
		// ANALYZE reads 300 rows for each unit of the largest target. With this one it reads all rows, so its
		// figures are exact. The other columns keep the default number of common values.
		"ALTER TABLE tasks ALTER COLUMN created_at SET STATISTICS 10000",
		dataset,
		"VACUUM (ANALYZE) tasks, task_keys, task_failures",
	)
}

// exec runs statements one after the other.
func (db *database) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := db.conn.Exec(ctx, sql); err != nil {
			first, _, _ := strings.Cut(strings.TrimSpace(sql), "\n")
			return fmt.Errorf("%s: %w", first, err)
		}
	}
	return nil
}

// text returns the lines that a statement selects.
func (db *database) text(ctx context.Context, sql string) ([]string, error) {
	rows, err := db.conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", sql, err)
	}
	return lines, nil
}
