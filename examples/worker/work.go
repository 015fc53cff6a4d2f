package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

const (
	batchSize = 50
	heartbeat = 500 * time.Millisecond
	silentFor = 2 * time.Second // a worker that misses several heartbeats is taken for dead
	idleWait  = 100 * time.Millisecond
)

// worked counts what this process did.
type worked struct {
	completed, failed, lost atomic.Int64
}

// worker claims batches and works on them until ctx ends. Then it gives back what it holds.
func worker(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, w *worked) error {
	for ctx.Err() == nil {
		tasks, err := store.Claim(ctx, batchSize)
		if err != nil {
			return err
		}
		if len(tasks) == 0 {
			wait(ctx, idleWait)
			continue
		}
		if err := workOn(ctx, pool, store, tasks, w); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// workOn works on the tasks of one claim one after the other, renews the leases of all meanwhile, and
// finishes them together at the end.
func workOn(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, tasks []taskstore.Task, w *worked) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	var done, bad []int64
	for _, t := range tasks {
		select {
		case <-ctx.Done(): // shutdown: the rest goes back to pending at once
			rest := slices.DeleteFunc(slices.Clone(tasks), func(t taskstore.Task) bool {
				return slices.Contains(done, t.ID) || slices.Contains(bad, t.ID)
			})
			err := store.Release(context.WithoutCancel(ctx), rest...)
			return errors.Join(ignoreConflict(err), finish(context.WithoutCancel(ctx), pool, store, tasks, done, bad, w))
		case <-beat.C:
			if err := ignoreConflict(store.Heartbeat(ctx, tasks)); err != nil {
				return err
			}
		default:
		}
		if err := do(t); err != nil {
			bad = append(bad, t.ID)
		} else {
			done = append(done, t.ID)
		}
	}
	// Not ctx: work that is done should be recorded even if the signal came just now.
	return finish(context.WithoutCancel(ctx), pool, store, tasks, done, bad, w)
}

// do stands for the service's own work. One attempt in fifty fails.
func do(t taskstore.Task) error {
	arg, err := taskstore.DecodeArgument[argument](t)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(arg.Project))
	for range 200 {
		sum = sha256.Sum256(sum[:])
	}
	if rand.IntN(50) == 0 {
		return errors.New("a passing fault")
	}
	return nil
}

// finish completes the tasks that are done and records their effects in the same transaction. A task
// whose lease was lost gets no effect here, since another worker does it again.
func finish(
	ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store, tasks []taskstore.Task, done, bad []int64, w *worked,
) error {
	among := func(ids []int64) []taskstore.Task {
		return slices.DeleteFunc(slices.Clone(tasks), func(t taskstore.Task) bool { return !slices.Contains(ids, t.ID) })
	}
	var lost []int64
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		in := store.WithTx(tx)
		err := in.Complete(ctx, among(done)...)
		if ignoreConflict(err) != nil {
			return err
		}
		lost = lostIn(err)
		done = slices.DeleteFunc(done, func(id int64) bool { return slices.Contains(lost, id) })
		if _, err := tx.Exec(ctx, "INSERT INTO effects (task_id) SELECT unnest($1::bigint[])", done); err != nil {
			return err
		}
		return ignoreConflict(in.Fail(ctx, among(bad)...))
	})
	if err != nil {
		return fmt.Errorf("finish %d tasks: %w", len(tasks), err)
	}
	w.completed.Add(int64(len(done)))
	w.failed.Add(int64(len(bad)))
	w.lost.Add(int64(len(lost)))
	return nil
}

// lostIn returns the ids of the tasks whose leases were lost, according to err. The others were completed.
func lostIn(err error) []int64 {
	var conflict *taskstore.ConflictError
	if errors.As(err, &conflict) {
		return conflict.IDs
	}
	return nil
}

func ignoreConflict(err error) error {
	if errors.Is(err, taskstore.ErrConflict) {
		return nil
	}
	return err
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
