package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
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
	before, err := sent(ctx, store)
	if err != nil {
		return err
	}
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
	defer func() {
		if other != nil { // or it would go on alone
			_ = other.Process.Signal(syscall.SIGTERM)
			_ = other.Wait()
		}
	}()
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
		allCreated := len(produced) > 0 // before the backlog is read
		b, err := store.Backlog(ctx)
		if ctx.Err() != nil {
			continue // the handlers are about to end what they have begun
		}
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
		if allCreated && other == nil && b.Pending+b.Processing+b.Failed == 0 {
			break
		}
	}
	stop()
	if err := errors.Join(<-produced, <-worked); err != nil {
		return err
	}
	return prove(ctx, pool, store, &seen, before)
}

// sent counts the mails of a run before this one. It refuses a table with tasks of somebody else, which the workers
// would take.
func sent(ctx context.Context, store *taskstore.Store) (int64, error) {
	byStatus, err := store.CountByStatus(ctx)
	if err != nil {
		return 0, err
	}
	var all int64
	for _, n := range byStatus {
		all += n
	}
	_, err = store.GetByKey(ctx, key(1))
	if all > mails || all > 0 && errors.Is(err, taskstore.ErrNotFound) {
		return 0, errors.New("the table tasks has other tasks, which this would handle: give it a database of its own")
	}
	if errors.Is(err, taskstore.ErrNotFound) {
		err = nil
	}
	return byStatus[taskstore.Completed], err
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
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, "-only-work") // the demo ends it, by a milder signal
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
func prove(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, seen *counts, before int64) error {
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
	earlier := ""
	if before > 0 {
		earlier = fmt.Sprintf(", and %d before this run", before)
	}
	fmt.Printf(`
  %6d mails were asked for, the first %d of them twice
  %6d tasks completed, %d of them by the process that was killed%s
  %6d attempts failed here and were tried again; %d tasks requeued after silence
  %6d mails in the outbox, for %d customers
`, mails, chunk, done, done-before-seen.completed.Load(), earlier,
		seen.failed.Load(), seen.requeued.Load(), sent, recipients)
	if done != mails || sent != mails || recipients != mails {
		return errors.New("these do not match")
	}
	fmt.Println("\nEach mail was written exactly once.")
	return nil
}
