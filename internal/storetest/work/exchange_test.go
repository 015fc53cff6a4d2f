package work

import (
	"errors"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// One call ends leases in each way and claims the next tasks.
func TestExchange(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 8)
	ts := storetest.Claim(t, b.Store, 4)
	next, err := b.Store.Exchange(t.Context(), taskstore.Ended{
		Completed: ts[:1],
		Released:  ts[1:2],
		Failed:    []taskstore.Failure{{Task: ts[2], Reason: "no"}},
	}, taskstore.Filter{}, 3)
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "claimed", storetest.IDs(next), 5, 6, 7)
	for i, want := range []taskstore.Status{2, 0, 3, 1, 1, 1, 1, 0} {
		if row := storedTask(t, b, int64(i+1)); row.Status != want {
			t.Errorf("task %d is %v, want %v", row.ID, row.Status, want)
		}
	}
	if f := failures(t, b.Store, 3); f.Reason != "no" {
		t.Errorf("failure: %+v", f)
	}
	none, err := b.Store.Exchange(t.Context(), taskstore.Ended{Completed: next}, taskstore.Filter{}, 0)
	if len(none) != 0 || err != nil {
		t.Errorf("claimed %v, %v", none, err)
	}
	if err := b.Store.Complete(t.Context(), ts[3]); err != nil {
		t.Error(err)
	}
	rest, err := b.Store.Exchange(t.Context(), taskstore.Ended{}, taskstore.Filter{}, 10)
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "claimed", storetest.IDs(rest), 2, 8)
}

// Lost leases are named, the others are ended, and tasks come all the same.
func TestExchangeBesideLostLeases(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 5)
	ts := storetest.Claim(t, b.Store, 4)
	for _, i := range []int{1, 3} {
		b.Exec(t, "UPDATE tasks SET status = 2 WHERE id = $1", ts[i].ID)
	}
	next, err := b.Store.Exchange(t.Context(), taskstore.Ended{
		Completed: ts[:2], Failed: []taskstore.Failure{{Task: ts[2]}, {Task: ts[3], RetryIn: time.Hour}},
	}, taskstore.Filter{}, 5)
	storetest.WantConflict(t, err, ts[1].ID, ts[3].ID)
	storetest.WantIDs(t, "claimed", storetest.IDs(next), 5)
	if row := storedTask(t, b, ts[0].ID); row.Status != taskstore.Completed {
		t.Errorf("the live lease is %v", row.Status)
	}
}

// A pending row that refuses to be claimed does not undo the endings, and a row that refuses its ending is an error of
// which nothing was done.
func TestExchangeTellsItsPartsApart(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 4)
	ts := storetest.Claim(t, b.Store, 2)
	b.Exec(t, "ALTER TABLE tasks ADD CONSTRAINT poison CHECK (id <> 3 OR status <> 1)")
	next, err := b.Store.Exchange(t.Context(), taskstore.Ended{Completed: ts[:1]}, taskstore.Filter{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "claimed", storetest.IDs(next), 4)
	if row := storedTask(t, b, ts[0].ID); row.Status != taskstore.Completed {
		t.Errorf("the ended task is %v", row.Status)
	}

	b.Exec(t, "ALTER TABLE tasks ADD CONSTRAINT stays CHECK (id <> 2 OR status <> 2)")
	b.CreateMany(t, 1)
	next, err = b.Store.Exchange(t.Context(), taskstore.Ended{Completed: ts[1:]}, taskstore.Filter{}, 2)
	if len(next) != 0 || !errors.Is(err, taskstore.ErrInvalid) || storetest.SQLState(err) != "23514" {
		t.Errorf("claimed %v, %v", next, err)
	}
	if row := storedTask(t, b, 5); row.Status != taskstore.Pending {
		t.Errorf("the pending task is %v", row.Status)
	}
}

// In a caller's transaction the caller commits.
func TestExchangeInATransaction(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 3)
	ts := storetest.Claim(t, b.Store, 1)
	tx := b.Begin(t, "")
	next, err := b.Store.WithTx(tx).Exchange(t.Context(), taskstore.Ended{Completed: ts}, taskstore.Filter{}, 1)
	if err != nil || len(next) != 1 {
		t.Fatalf("claimed %v, %v", next, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, want := range []taskstore.Status{1, 0, 0} {
		if row := storedTask(t, b, int64(i+1)); row.Status != want {
			t.Errorf("task %d is %v, want %v", row.ID, row.Status, want)
		}
	}
}
