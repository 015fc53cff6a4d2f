package work

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestRequeueStale(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	now := b.Now(t)
	const minute = taskstore.Millis(60_000)
	age := func(minutes taskstore.Millis) taskstore.Millis { return now - minutes*minute }
	for _, st := range []taskstore.Status{taskstore.Pending, taskstore.Completed, taskstore.Failed} {
		b.Row(t, st, age(60), age(60))
	}
	old := []taskstore.Task{
		b.Row(t, taskstore.Processing, age(60), age(20)), // 4
		b.Row(t, taskstore.Processing, age(60), age(50)),
		b.Row(t, taskstore.Processing, age(60), age(11)),
	}
	b.Row(t, taskstore.Processing, age(60), age(9))
	b.Row(t, taskstore.Processing, age(60), now+60*minute) // ahead of the clock
	want := storetest.Stored(t, b.Pool)

	for _, step := range []struct {
		limit int
		ids   []int64
	}{{2, []int64{4, 5}}, {10_000, []int64{6}}, {1, nil}} {
		stale, err := b.Store.Stale(t.Context(), taskstore.Filter{}, 10*time.Minute, step.limit)
		if err != nil {
			t.Fatal(err)
		}
		storetest.WantIDs(t, "stale", storetest.IDs(stale), step.ids...)
		got, err := b.Store.RequeueStale(t.Context(), taskstore.Filter{}, 10*time.Minute, step.limit)
		if err != nil {
			t.Fatal(err)
		}
		storetest.WantIDs(t, "requeued", got, step.ids...)
		after := storetest.Stored(t, b.Pool)
		for _, id := range got {
			want[id-1] = storetest.Moved(t, want[id-1], after[id-1], taskstore.Pending)
		}
		if !slices.Equal(after, want) {
			t.Errorf("stored\n%+v, want\n%+v", after, want)
		}
	}
	storetest.WantConflict(t, b.Store.Complete(t.Context(), old...), 4, 5, 6)
	if row := storetest.Stored(t, b.Pool)[3]; row.UpdatedAt < now {
		t.Errorf("a requeued task's version is %d, before %d", row.UpdatedAt, now)
	}
}

func TestRequeueStaleLimits(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	task := b.In(t, taskstore.Processing)
	for _, bad := range []struct {
		silentFor time.Duration
		limit     int
	}{{-1, 1}, {0, 1}, {60, 1}, {time.Millisecond - 1, 1}, {time.Minute, 0}, {time.Minute, -1}, {time.Minute, 10_001}} {
		_, err := b.Store.RequeueStale(t.Context(), taskstore.Filter{}, bad.silentFor, bad.limit)
		storetest.WantError(t, err, taskstore.ErrInvalid)
		_, err = b.Store.Stale(t.Context(), taskstore.Filter{}, bad.silentFor, bad.limit)
		storetest.WantError(t, err, taskstore.ErrInvalid)
	}
	if row := storetest.StoredTask(t, b.Pool, task.ID); row != task {
		t.Errorf("stored %+v, want %+v", row, task)
	}
	for _, f := range []taskstore.Filter{
		taskstore.ByUser(1), taskstore.ByClient(1), taskstore.ByAccount(1), taskstore.ByStatus(taskstore.Processing),
		taskstore.ByTemplate(1).WithStatus(taskstore.Processing),
	} {
		_, err := b.Store.RequeueStale(t.Context(), f, time.Minute, 1)
		storetest.WantError(t, err, taskstore.ErrInvalid)
		_, err = b.Store.Stale(t.Context(), f, time.Minute, 1)
		storetest.WantError(t, err, taskstore.ErrInvalid)
	}
	got, err := storetest.Requeue(t.Context(), b.Store, 1)
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "requeued", got, task.ID)
}

// A task whose row another session has locked, as by a heartbeat under way, is passed by.
func TestRequeueStalePassesByLockedRows(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("committed %v", commit), func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			hourAgo := b.Now(t) - 3_600_000
			tasks := []taskstore.Task{
				b.Row(t, taskstore.Processing, hourAgo, hourAgo),
				b.Row(t, taskstore.Processing, hourAgo, hourAgo),
			}
			tx := b.Begin(t, pgx.ReadCommitted)
			if err := b.Store.WithTx(tx).Heartbeat(t.Context(), tasks[:1]); err != nil {
				t.Fatal(err)
			}
			requeued, err := b.Store.RequeueStale(t.Context(), taskstore.Filter{}, time.Minute, 10)
			if err != nil {
				t.Fatal(err)
			}
			storetest.WantIDs(t, "requeued", requeued, 2)
			end := tx.Rollback
			if commit {
				end = tx.Commit
			}
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			requeued, err = b.Store.RequeueStale(t.Context(), taskstore.Filter{}, time.Minute, 10)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]int{true: 0, false: 1}[commit]; len(requeued) != want {
				t.Errorf("then requeued %v, want %d", requeued, want)
			}
			if commit {
				if err := b.Store.Complete(t.Context(), tasks[0]); err != nil {
					t.Error(err)
				}
			} else {
				storetest.WantConflict(t, b.Store.Complete(t.Context(), tasks[0]), 1)
			}
		})
	}
}

// Any number of programs may requeue: each task comes back once.
func TestRequeuersBesideEachOther(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 2000)
	storetest.Claim(t, b.Store, 2000)
	var got [4][]int64
	var done []<-chan error
	for i := range got {
		done = append(done, storetest.Start(func() (err error) {
			for range 10 { // some of them come too late to find any
				more, err := b.Store.RequeueStale(t.Context(), taskstore.Filter{}, time.Millisecond, 100)
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
	storetest.WantIDs(t, "pending",
		storetest.One[[]int64](t, b.Pool, `SELECT array_agg(id ORDER BY id) FROM tasks WHERE status = 0`), all...)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	failed := []taskstore.Task{b.In(t, taskstore.Failed), b.In(t, taskstore.Failed), b.In(t, taskstore.Failed)}
	others := []taskstore.Task{b.In(t, taskstore.Pending), b.In(t, taskstore.Processing), b.In(t, taskstore.Completed)}
	want := storetest.Stored(t, b.Pool)
	n, err := b.Store.Retry(t.Context(),
		append(append(storetest.IDs(others), failed[1].ID, failed[0].ID, failed[1].ID), -1, 1_000_000)...)
	if n != 2 || err != nil {
		t.Errorf("retried %d, %v; want 2", n, err)
	}
	after := storetest.Stored(t, b.Pool)
	for i := range 2 {
		want[i] = storetest.Moved(t, want[i], after[i], taskstore.Pending)
	}
	if !slices.Equal(after, want) {
		t.Errorf("stored\n%+v, want\n%+v", after, want)
	}
	if n, err := b.Store.Retry(t.Context(), failed[0].ID); n != 0 || err != nil {
		t.Errorf("retried %d, %v of a pending task", n, err)
	}
}
