// Command retention measures what Store.DeleteFinished costs on a large table from which as many finished tasks go as
// new ones come, a thousand a second: dead rows, bloat, autovacuum, and how long creates and claims take with and
// without it. It writes retention.json and a part of docs/performance.md. Run it from the directory above: go run
// ./retention
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/bench/taskmigrate"
	"github.com/tasklane/tasks/internal/pgserver"
)

func main() {
	log.SetFlags(log.Ltime)
	rows := flag.Int64("rows", 10_000_000, "rows of the table")
	lasts := flag.Duration("for", 20*time.Minute, "how long to measure, in whole minutes")
	tableOnly := flag.Bool("table", false, "only write the page's table again, from the saved figures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if !*tableOnly {
		err = run(ctx, *rows, *lasts)
	}
	if err := errors.Join(err, writePage()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rows int64, lasts time.Duration) error {
	migrate, remove, err := taskmigrate.Build(ctx)
	if err != nil {
		return err
	}
	defer remove()
	server, err := pgserver.StartLocal(ctx, pgserver.Durable(),
		pgserver.Setting("shared_buffers", "2GB"), pgserver.Setting("max_wal_size", "8GB"),
		// So that filling the table writes no WAL. For the rest it hardly makes a difference.
		pgserver.Setting("wal_level", "minimal"), pgserver.Setting("max_wal_senders", "0"),
		pgserver.Setting("shared_preload_libraries", "pg_stat_statements"),
		pgserver.Setting("log_autovacuum_min_duration", "0"))
	if err != nil {
		return err
	}
	defer server.Close()                      //nolint:errcheck // it ends with the process in any case
	url, _, err := server.CreateDatabase(ctx) // it ends with the server
	if err != nil {
		return err
	}
	if err := migrate(ctx, url, "up"); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	config.MaxConns = creators + workers + 2
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()

	began := time.Now()
	if err := fill(ctx, pool, rows); err != nil {
		return err
	}
	rep := report{Date: began.UTC().Format(time.DateOnly), Rows: rows}
	if rep.Before, err = look(ctx, pool); err != nil {
		return err
	}
	log.Printf("%d rows, filled in %v", rows, time.Since(began).Round(time.Second))
	m := measurement{pool: pool, url: url, retention: time.Duration(rows) * apart, report: &rep}
	measured := m.run(ctx, int(lasts/time.Minute))
	// Also where it was interrupted.
	rep.Vacuums, err = vacuums(server.Local.Dir + "/log")
	return errors.Join(measured, err, rep.write(), migrate(context.WithoutCancel(ctx), url, "verify"))
}
