package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// maxBacklog makes producers wait, so that the demo shows a queue at work and not a growing pile.
const maxBacklog = 5000

// serve runs the whole service for a while, drains the queue and proves the result.
func serve(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, runFor time.Duration, workers int) error {
	_, err := pool.Exec(ctx, "CREATE TABLE IF NOT EXISTS effects (task_id bigint PRIMARY KEY)")
	if err != nil {
		return err
	}
	fmt.Printf("\nA service at work for %v: 2 producers, %d workers, a retrier, a requeuer, "+
		"and a worker process that will be killed\n", runFor, workers)

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	run := func(f func(context.Context) error) {
		all.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				stop(err) // the first failure ends everything, and serve returns it
			}
		})
	}
	var created, requeued, retried atomic.Int64
	var w worked
	producing, stopProducing := context.WithTimeout(ctx, runFor)
	defer stopProducing()
	var producers sync.WaitGroup
	for _, n := range []int{1, 500} {
		producers.Add(1)
		run(func(context.Context) error {
			defer producers.Done()
			return produce(producing, store, n, &created)
		})
	}
	for range workers {
		run(func(ctx context.Context) error { return worker(ctx, pool, store, &w) })
	}
	run(func(ctx context.Context) error { return every(ctx, time.Second, requeue(store, &requeued)) })
	run(func(ctx context.Context) error { return every(ctx, 500*time.Millisecond, retry(store, &retried)) })
	run(func(ctx context.Context) error { return killedWorker(ctx, runFor/3) })

	drained := make(chan struct{})
	run(func(ctx context.Context) error {
		producers.Wait()
		return every(ctx, 200*time.Millisecond, func(ctx context.Context) error {
			b, err := store.Backlog(ctx)
			if err == nil && b.Pending+b.Processing+b.Failed == 0 {
				close(drained)
				<-ctx.Done()
			}
			return err
		})
	})
	run(func(ctx context.Context) error { return every(ctx, time.Second, liveLine(store, &created)) })

	select {
	case <-drained:
	case <-ctx.Done():
	}
	interrupted := context.Cause(ctx)
	stop(nil)
	all.Wait()
	if interrupted != nil {
		return interrupted
	}
	return summary(context.WithoutCancel(ctx), pool, created.Load(), requeued.Load(), retried.Load(), &w)
}

// every calls f at each tick until ctx ends or f fails.
func every(ctx context.Context, interval time.Duration, f func(context.Context) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := f(ctx); err != nil {
				return err
			}
		}
	}
}

// produce creates tasks, n at a time, until ctx ends.
func produce(ctx context.Context, store *taskstore.Store, n int, created *atomic.Int64) error {
	for i := 0; ctx.Err() == nil; i += n {
		b, err := store.Backlog(ctx)
		if err == nil && b.Pending > maxBacklog {
			wait(ctx, 10*time.Millisecond)
			continue
		}
		ts, err := newTasks(i, n)
		if err != nil {
			return err
		}
		// Not ctx: after a call that is cut off nobody knows whether the tasks were created, and the counts
		// would not match.
		ids, err := store.CreateMany(context.WithoutCancel(ctx), ts)
		if err != nil {
			return err
		}
		created.Add(int64(len(ids)))
	}
	return nil
}

func requeue(store *taskstore.Store, requeued *atomic.Int64) func(context.Context) error {
	return func(ctx context.Context) error {
		ids, err := store.RequeueStale(ctx, taskstore.Filter{}, silentFor, 1000)
		if len(ids) > 0 {
			fmt.Printf("  requeued %d tasks of a worker that fell silent\n", len(ids))
		}
		requeued.Add(int64(len(ids)))
		return err
	}
}

func retry(store *taskstore.Store, retried *atomic.Int64) func(context.Context) error {
	return func(ctx context.Context) error {
		failed, err := store.List(ctx, taskstore.ByStatus(taskstore.Failed), taskstore.Page{Limit: 1000})
		if err != nil {
			return err
		}
		ids := make([]int64, len(failed))
		for i, t := range failed {
			ids[i] = t.ID
		}
		n, err := store.Retry(ctx, ids...)
		retried.Add(n)
		return err
	}
}

// killedWorker runs this program as a second process that only works, and kills it after a while, as
// the kernel does when memory runs out. Such a process cannot give back what it holds.
func killedWorker(ctx context.Context, after time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "-only-work", "-workers=2")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	wait(ctx, after)
	err = cmd.Process.Kill()
	fmt.Printf("  killed worker process %d\n", cmd.Process.Pid)
	_ = cmd.Wait() // its error only says that the process was killed
	return err
}

// workUntilDone is what the second process runs.
func workUntilDone(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, workers int) error {
	var w worked
	errs := make([]error, workers)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { errs[i] = worker(ctx, pool, store, &w) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// liveLine returns a function that prints one line about the queue. It is called once a second.
func liveLine(store *taskstore.Store, created *atomic.Int64) func(context.Context) error {
	start := time.Now()
	var before int64
	return func(ctx context.Context) error {
		b, err := store.Backlog(ctx)
		if err != nil {
			return err
		}
		completed := created.Load() - b.Pending - b.Processing - b.Failed
		oldest := "none"
		if b.OldestPending != 0 {
			oldest = fmt.Sprintf("%.1fs ago", time.Since(b.OldestPending.Time()).Seconds())
		}
		fmt.Printf("  %3.0fs  %6d completed/s   pending %5d   processing %4d   failed %3d   oldest pending %s\n",
			time.Since(start).Seconds(), completed-before, b.Pending, b.Processing, b.Failed, oldest)
		before = completed
		return nil
	}
}

// summary prints what was done, and fails if that does not match what is stored.
func summary(ctx context.Context, pool *pgxpool.Pool, created, requeued, retried int64, w *worked) error {
	var completed, effects, without int64
	err := pool.QueryRow(ctx, `
		SELECT (SELECT count(*) FROM tasks WHERE status = 2),
		       (SELECT count(*) FROM effects),
		       (SELECT count(*) FROM tasks AS t WHERE NOT EXISTS (SELECT FROM effects AS e WHERE e.task_id = t.id))`,
	).Scan(&completed, &effects, &without)
	if err != nil {
		return err
	}
	fmt.Printf(`
Summary
  %8d tasks created
  %8d completed, %d of them by the process that was killed
  %8d attempts failed, %d retried; %d requeued after silence; %d finished too late and refused
  %8d effects, one row a task, written in the transaction that completed it
`, created, completed, completed-w.completed.Load(), w.failed.Load(), retried, requeued, w.lost.Load(), effects)
	if created != completed || completed != effects || without != 0 {
		return fmt.Errorf("%d created, %d completed, %d effects, %d tasks without effect: these do not match",
			created, completed, effects, without)
	}
	fmt.Println("Each task was completed, and took effect, exactly once.")
	return nil
}
