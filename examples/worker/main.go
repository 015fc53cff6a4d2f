// Command worker is a small service on package taskstore, written as a user would write it. It expects
// a migrated database in DATABASE_URL; `make demo` provides one.
//
// First it shows what the store can do (tour.go). Then it runs producers, workers, a requeuer and a
// retrier for a while (service.go, work.go), and kills one worker process on purpose. At the end it waits until
// the queue is empty, and proves that each task took effect exactly once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

func main() {
	runFor := flag.Duration("for", 10*time.Second, "how long producers go on")
	workers := flag.Int("workers", 4, "goroutines that work")
	onlyWork := flag.Bool("only-work", false, "be a worker process: neither tour nor producers")
	flag.Parse()

	if err := run(*runFor, *workers, *onlyWork); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(runFor time.Duration, workers int, onlyWork bool) error {
	// On Ctrl-C or SIGTERM workers finish what they have done and give back the rest.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	url := os.Getenv("DATABASE_URL")
	if url == "" {
		return errors.New("set DATABASE_URL to a migrated database, or run `make demo`")
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := taskstore.New(pool)

	if onlyWork {
		return workUntilDone(ctx, pool, store, workers)
	}
	if err := tour(ctx, pool, store); err != nil {
		return err
	}
	return serve(ctx, pool, store, runFor, workers)
}
