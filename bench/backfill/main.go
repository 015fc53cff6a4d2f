// Command backfill measures what the back-fill of taskmigrate costs on a table in which every row has to be converted,
// while writers go on and a standby follows: WAL, bloat, the standby's lag, and how long the writers wait. It writes
// backfill.json and the table in docs/performance.md. Run it from the directory above: go run ./backfill
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/bench/page"
	"github.com/tasklane/tasks/bench/taskmigrate"
	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/pgserver"
)

// fill adds that many rows whose times are in seconds.
const fill = `
INSERT INTO tasks
    (integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
SELECT i %% 200 + 1, i * 7919 %% 50000 + 1, i * 31 %% 1000 + 1, i * 17 %% 5000 + 1, i %% 20 + 1,
    '{"n": ' || i || '}', 2, 1721818960, 1721818960
FROM generate_series(1::bigint, %d) AS i`

func main() {
	log.SetFlags(log.Ltime)
	rows := flag.Int64("rows", 5_000_000, "rows of the table")
	quiet := flag.Duration("quiet", 30*time.Second, "how long to measure the writers alone")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rows, *quiet); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rows int64, quiet time.Duration) error {
	migrate, remove, err := taskmigrate.Build(ctx)
	if err != nil {
		return err
	}
	defer remove()
	server, err := pgserver.StartLocal(ctx, pgserver.Durable(),
		pgserver.Setting("shared_buffers", "2GB"), pgserver.Setting("max_wal_size", "4GB"),
		pgserver.Setting("checkpoint_timeout", "5min"), pgserver.Setting("wal_keep_size", "8GB"))
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // it ends with the process in any case

	log.Printf("%d rows in the documented shape, with times in seconds", rows)
	template, err := prepare(ctx, server, migrate, rows)
	if err != nil {
		return err
	}
	standby, err := startStandby(ctx, server)
	if err != nil {
		return err
	}
	rep := report{Rows: rows, Load: page.Load()}
	for _, limit := range []string{"0", "16000000"} {
		log.Printf("back-fill with --backfill-max-lag %s", limit)
		url, drop, err := server.CloneDatabase(ctx, template)
		if err != nil {
			return err
		}
		m := measurement{url: url, standby: standby, rows: rows, quiet: quiet}
		res, err := m.run(ctx, func() error {
			return migrate(ctx, url, "up", "--to=7", "--backfill-max-lag="+limit)
		})
		if err == nil {
			err = errors.Join(migrate(ctx, url, "up"), migrate(ctx, url, "verify"))
		}
		if err = errors.Join(err, drop()); err != nil {
			return err
		}
		res.MaxLag = limit
		rep.Runs = append(rep.Runs, res)
		if err := rep.write(); err != nil { // also where a later run is interrupted
			return err
		}
	}
	return nil
}

// prepare makes a database that the back-fill is next for, and returns its name.
func prepare(
	ctx context.Context, server *pgserver.Server, migrate taskmigrate.Command, rows int64,
) (string, error) {
	url, _, err := server.CreateDatabase(ctx) // it ends with the server
	if err != nil {
		return "", err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return "", err
	}
	table, indexes, _ := strings.Cut(document.DDL, "CREATE INDEX")
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	for _, sql := range []string{table, fmt.Sprintf(fill, rows), "CREATE INDEX" + indexes, "VACUUM ANALYZE tasks"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return "", err
		}
	}
	if err := conn.Close(ctx); err != nil {
		return "", err
	}
	if err := migrate(ctx, url, "adopt", "--yes"); err != nil {
		return "", err
	}
	return config.Database, migrate(ctx, url, "up", "--to=6")
}

// startStandby copies the server into a standby that replays what it gets at once, and returns a pool on it.
func startStandby(ctx context.Context, server *pgserver.Server) (*pgxpool.Pool, error) {
	const port = "5433"
	for _, program := range [][]string{
		{"pg_basebackup", "-D", "standby", "-d", "host=" + server.Local.Dir + " user=postgres dbname=postgres",
			"-X", "stream", "-c", "fast", "-R"},
		{"pg_ctl", "start", "-D", "standby", "-l", "standby.log", "-w", "-t", "600", "-o", "-p " + port},
	} {
		if out, err := server.Local.Command(ctx, program[0], program[1:]...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", program[0], err, out)
		}
	}
	return pgxpool.New(ctx, server.URL+"&port="+port)
}
