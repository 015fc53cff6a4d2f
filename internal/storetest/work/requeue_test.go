package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

func TestRequeueStale(t *testing.T) {
	t.Parallel()
	b := setup(t)
	now := b.now(t)
	const minute = taskstore.Millis(60_000)
	age := func(minutes taskstore.Millis) taskstore.Millis { return now - minutes*minute }
	for _, st := range []taskstore.Status{taskstore.Pending, taskstore.Completed, taskstore.Failed} {
		b.row(t, st, age(60), age(60))
	}
	old := []taskstore.Task{
		b.row(t, taskstore.Processing, age(60), age(20)), // 4
		b.row(t, taskstore.Processing, age(60), age(50)),
		b.row(t, taskstore.Processing, age(60), age(11)),
	}
	b.row(t, taskstore.Processing, age(60), age(9))
	b.row(t, taskstore.Processing, age(60), now+60*minute) // ahead of the clock
	want := stored(t, b.pool)

	for _, step := range []struct {
		limit int
		ids   []int64
	}{{2, []int64{4, 5}}, {10_000, []int64{6}}, {1, nil}} {
		got, err := b.store.RequeueStale(t.Context(), 10*time.Minute, step.limit)
		if err != nil {
			t.Fatal(err)
		}
		wantIDs(t, "requeued", got, step.ids...)
		after := stored(t, b.pool)
		for _, id := range got {
			want[id-1] = moved(t, want[id-1], after[id-1], taskstore.Pending)
		}
		if !slices.Equal(after, want) {
			t.Errorf("stored\n%+v, want\n%+v", after, want)
		}
	}
	wantConflict(t, b.store.Complete(t.Context(), old...), 4, 5, 6)
	if row := stored(t, b.pool)[3]; row.UpdatedAt < now {
		t.Errorf("a requeued task's version is %d, before %d", row.UpdatedAt, now)
	}
}

func TestRequeueStaleLimits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	task := b.in(t, taskstore.Processing)
	for _, bad := range []struct {
		silentFor time.Duration
		limit     int
	}{{-1, 1}, {0, 0}, {0, -1}, {0, 10_001}} {
		_, err := b.store.RequeueStale(t.Context(), bad.silentFor, bad.limit)
		wantError(t, err, taskstore.ErrInvalid)
	}
	if row := storedTask(t, b.pool, task.ID); row != task {
		t.Errorf("stored %+v, want %+v", row, task)
	}
	got, err := b.store.RequeueStale(t.Context(), 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, "requeued", got, task.ID)
}

// A heartbeat that is on its way when the requeuer looks keeps its lease.
func TestRequeueStaleWaitsForAHeartbeat(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("committed %v", commit), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			hourAgo := b.now(t) - 3_600_000
			tasks := []taskstore.Task{
				b.row(t, taskstore.Processing, hourAgo, hourAgo),
				b.row(t, taskstore.Processing, hourAgo, hourAgo),
			}
			tx := b.begin(t, pgx.ReadCommitted)
			if err := b.store.WithTx(tx).Heartbeat(t.Context(), tasks[:1]); err != nil {
				t.Fatal(err)
			}
			var requeued []int64
			done := start(func() (err error) {
				requeued, err = b.store.RequeueStale(t.Context(), time.Minute, 10)
				return err
			})
			b.waitForBlocked(t, 1)
			end, want := tx.Rollback, []int64{1, 2}
			if commit {
				end, want = tx.Commit, []int64{2}
			}
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			wantIDs(t, "requeued", requeued, want...)
			if commit {
				if err := b.store.Complete(t.Context(), tasks[0]); err != nil {
					t.Error(err)
				}
			} else {
				wantConflict(t, b.store.Complete(t.Context(), tasks[0]), 1)
			}
		})
	}
}

// Any number of programs may requeue: each task comes back once.
func TestRequeuersBesideEachOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createMany(t, 2000)
	claim(t, b.store, 2000)
	var got [4][]int64
	var done []<-chan error
	for i := range got {
		done = append(done, start(func() (err error) {
			for range 10 { // of which some come too late to find any
				more, err := b.store.RequeueStale(t.Context(), 0, 100)
				if err != nil {
					return err
				}
				got[i] = append(got[i], more...)
			}
			return nil
		}))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Fatal(err)
		}
	}
	all := slices.Concat(got[:]...)
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != len(all) {
		t.Errorf("%d tasks came back %d times", n, len(all))
	}
	wantIDs(t, "pending", one[[]int64](t, b.pool, `SELECT array_agg(id ORDER BY id) FROM tasks WHERE status = 0`), all...)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	failed := []taskstore.Task{b.in(t, taskstore.Failed), b.in(t, taskstore.Failed), b.in(t, taskstore.Failed)}
	others := []taskstore.Task{b.in(t, taskstore.Pending), b.in(t, taskstore.Processing), b.in(t, taskstore.Completed)}
	want := stored(t, b.pool)
	n, err := b.store.Retry(t.Context(), append(append(ids(others), failed[1].ID, failed[0].ID, failed[1].ID), -1, 1_000_000)...)
	if n != 2 || err != nil {
		t.Errorf("retried %d, %v; want 2", n, err)
	}
	after := stored(t, b.pool)
	for i := range 2 {
		want[i] = moved(t, want[i], after[i], taskstore.Pending)
	}
	if !slices.Equal(after, want) {
		t.Errorf("stored\n%+v, want\n%+v", after, want)
	}
	if n, err := b.store.Retry(t.Context(), failed[0].ID); n != 0 || err != nil {
		t.Errorf("retried %d, %v of a pending task", n, err)
	}
}
