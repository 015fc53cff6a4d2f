package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

const (
	mails  = 8_000
	chunk  = 500
	outbox = `CREATE TABLE IF NOT EXISTS outbox (task_id bigint, recipient text, subject text)` // no index hides a double
)

// demo shows the service at work, and what happens when one of its processes dies.
func demo(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store) error {
	fmt.Printf("This is a service that sends %d mails. Each is a task: a handler writes it into an outbox and\n"+
		"completes the task in one transaction. Two processes work on them, and one of them is killed.\n\n", mails)
	if _, err := pool.Exec(ctx, outbox); err != nil {
		return err
	}
	var seen counts
	working, stop := context.WithCancel(ctx)
	defer stop()
	worked := make(chan error, 1)
	go func() { worked <- taskwork.Run(working, store, seen.watch(config()), mailer{pool}.handle) }()
	other, err := startWorker(ctx)
	if err != nil {
		return err
	}
	produced := make(chan error, 1)
	go func() { produced <- produceAll(ctx, store) }()

	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for second := 1; ; second++ {
		select {
		case err := <-worked: // Ctrl-C, or a mistake
			return err
		case <-tick.C:
		}
		b, err := store.Backlog(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("  %2d s   pending %5d   processing %3d   failed, to be tried again %3d\n",
			second, b.Pending, b.Processing, b.Failed)
		if other != nil && second == 3 {
			if err := other.Process.Kill(); err != nil {
				return err
			}
			_ = other.Wait() // says that it was killed
			fmt.Printf("         killed process %d by SIGKILL: what it held comes back when it has been silent for %v\n",
				other.Process.Pid, config().SilentFor)
			other = nil
		}
		if other == nil && b.Pending+b.Processing+b.Failed == 0 {
			break
		}
	}
	stop()
	if err := errors.Join(<-produced, <-worked); err != nil {
		return err
	}
	return prove(ctx, pool, store, &seen)
}

// produceAll creates all mails, a chunk at a time, and the first chunk twice.
func produceAll(ctx context.Context, store *taskstore.Store) error {
	for first := 1; first <= mails; first += chunk {
		if err := produce(ctx, store, first, first+chunk-1); err != nil {
			return err
		}
	}
	return produce(ctx, store, 1, chunk) // as after a restart: the keys are taken, so nothing is created
}

// startWorker runs this program as a second process that only works.
func startWorker(ctx context.Context) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-only-work")
	cmd.Stderr = os.Stderr
	return cmd, cmd.Start()
}

// counts are what this process has seen.
type counts struct{ completed, failed, requeued, lost atomic.Int64 }

// watch has cfg count.
func (c *counts) watch(cfg taskwork.Config) taskwork.Config {
	of := map[taskwork.Kind]*atomic.Int64{
		taskwork.Completed: &c.completed, taskwork.Failed: &c.failed, taskwork.Requeued: &c.requeued, taskwork.Lost: &c.lost,
	}
	cfg.Observe = func(e taskwork.Event) {
		if n := of[e.Kind]; n != nil {
			n.Add(int64(e.N))
		}
		if e.Kind == taskwork.Requeued {
			fmt.Printf("         requeued %d tasks of the process that has died\n", e.N)
		}
	}
	return cfg
}

// prove compares what was asked for with what is stored.
func prove(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, seen *counts) error {
	byStatus, err := store.CountByStatus(ctx)
	if err != nil {
		return err
	}
	var sent, recipients int64
	err = pool.QueryRow(ctx, `SELECT count(*), count(DISTINCT recipient) FROM outbox`).Scan(&sent, &recipients)
	if err != nil {
		return err
	}
	done := byStatus[taskstore.Completed]
	fmt.Printf(`
  %6d mails were asked for, the first %d of them twice
  %6d tasks completed, %d of them by the process that was killed
  %6d attempts failed here and were tried again; %d tasks requeued after silence
  %6d mails in the outbox, for %d customers
`, mails, chunk, done, done-seen.completed.Load(), seen.failed.Load(), seen.requeued.Load(), sent, recipients)
	if done != mails || sent != mails || recipients != mails {
		return errors.New("these do not match")
	}
	fmt.Println("\nEach mail was written exactly once." +
		"\nNext, on a database of yours: DATABASE_URL=postgres://… bin/taskmigrate up" +
		"\ndocs/start.md goes on from there, to a worker of your own.")
	return nil
}
