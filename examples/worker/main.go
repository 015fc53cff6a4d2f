// Command worker is a service on package taskwork, as a user would write it: a handler that sends mails (handler.go),
// a producer of tasks with keys (producer.go), and, for the show, a worker process that is killed at work and a proof
// that each task took effect exactly once (demo.go). It expects a migrated database of its own in
// DATABASE_URL, where it creates 8000 tasks and a table outbox; `make demo` provides one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

func main() {
	onlyWork := flag.Bool("only-work", false, "be a worker process and nothing else")
	flag.Parse()
	// On Ctrl-C or SIGTERM handlers end what they have begun, and Run returns nil.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *onlyWork); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, onlyWork bool) error {
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		return errors.New("set DATABASE_URL to a migrated database, or run `make demo`")
	}
	conns, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	conns.MaxConns = int32(config().Workers) + 6 // a connection a handler, and what Run itself needs
	pool, err := pgxpool.NewWithConfig(ctx, conns)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := taskstore.New(pool)
	if onlyWork {
		return taskwork.Run(ctx, store, config(), mailer{pool}.handle)
	}
	return demo(ctx, pool, store)
}
