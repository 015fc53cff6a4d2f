package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

func TestCreateReturnsTheTaskAsStored(t *testing.T) {
	t.Parallel()
	b := setup(t)
	earliest := b.now(t)
	first, second := b.create(t, 1), b.create(t, 2)
	latest := b.now(t)

	for i, task := range []taskstore.Task{first, second} {
		if got, want := input(task), newTask(i+1); got != want {
			t.Errorf("created %+v, want %+v", got, want)
		}
		if task.Status != taskstore.Pending {
			t.Errorf("task %d is %v, want pending", task.ID, task.Status)
		}
		if task.CreatedAt < earliest || task.CreatedAt > latest || task.UpdatedAt != task.CreatedAt {
			t.Errorf("task %d was created at %d and updated at %d, want one time between %d and %d",
				task.ID, task.CreatedAt, task.UpdatedAt, earliest, latest)
		}
	}
	if first.ID <= 0 || second.ID <= first.ID {
		t.Errorf("ids are %d and %d, want them rising from 1", first.ID, second.ID)
	}
	if got, want := stored(t, b.pool), []taskstore.Task{first, second}; !slices.Equal(got, want) {
		t.Errorf("stored %+v, want %+v", got, want)
	}
}

func TestCreateInATransactionIsTheCallersToCommit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, commit := range []bool{false, true} {
		tx := b.begin(t, pgx.ReadCommitted)
		task, err := b.store.WithTx(tx).Create(t.Context(), newTask(1))
		if err != nil {
			t.Fatal(err)
		}
		if got := stored(t, tx); !slices.Equal(got, []taskstore.Task{task}) {
			t.Errorf("the transaction sees %+v, want %+v", got, task)
		}
		if got := stored(t, b.pool); len(got) != 0 {
			t.Errorf("before the commit others see %+v", got)
		}
		want := []taskstore.Task{}
		if commit {
			err, want = tx.Commit(t.Context()), append(want, task)
		} else {
			err = tx.Rollback(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := stored(t, b.pool); !slices.Equal(got, want) {
			t.Errorf("commit %v: stored %+v, want %+v", commit, got, want)
		}
	}
}

// A Store over a single connection, and one over a transaction, are as good as one over a pool.
func TestStoreOverEachKindOfDB(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn := b.connection(t)
	tx := b.begin(t, pgx.ReadCommitted)

	for name, db := range map[string]taskstore.DB{"pool": b.pool, "conn": conn, "tx": tx} {
		s := taskstore.New(db)
		for _, n := range []int{3, 300} { // by INSERT and by COPY
			ids, err := s.CreateMany(t.Context(), newTasks(n))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			checkCreated(t, db, ids, newTasks(n))
		}
		task, err := s.Create(t.Context(), newTask(1))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if task, err = s.SetStatus(t.Context(), task, taskstore.Failed); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := storedTask(t, db, task.ID); got != task {
			t.Errorf("%s: stored %+v, want %+v", name, got, task)
		}
	}
}

// checkCreated holds the stored rows of ids to ts, each to the one at its place.
func checkCreated(t *testing.T, db querier, ids []int64, ts []taskstore.NewTask) {
	t.Helper()
	if len(ids) != len(ts) {
		t.Fatalf("%d ids for %d tasks", len(ids), len(ts))
	}
	byID := make(map[int64]taskstore.Task)
	for _, task := range stored(t, db) {
		byID[task.ID] = task
	}
	seen := make(map[int64]bool, len(ids))
	for i, id := range ids {
		task, ok := byID[id]
		switch {
		case !ok:
			t.Fatalf("ids[%d] = %d has no row", i, id)
		case seen[id]:
			t.Fatalf("ids[%d] = %d stands there twice", i, id)
		case input(task) != ts[i]:
			t.Fatalf("ids[%d] = %d is the row %+v, want %+v", i, id, task, ts[i])
		case task.Status != taskstore.Pending || task.UpdatedAt != task.CreatedAt || task.CreatedAt != byID[ids[0]].CreatedAt:
			t.Fatalf("row %+v is not pending, of one time, and of the time of its batch", task)
		}
		seen[id] = true
	}
}

// Callers at the same time each get their own row; the one that is refused, and the one that gives up,
// take nobody with them.
func TestCreateByManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `ALTER TABLE tasks ADD CONSTRAINT no_13 CHECK (user_id % 100 <> 13)`)
	const callers, each = 32, 20
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var created [callers][]taskstore.Task
	var done []<-chan error
	for c := range callers {
		done = append(done, start(func() error {
			for i := range each {
				task := newTask(c*each + i)
				task.UserID = int64(c*each+i)*100 + 1
				refused, ctx := taskstore.NewTask{UserID: 13}, t.Context()
				switch i % 4 {
				case 1:
					if _, err := b.store.Create(ctx, refused); !errors.Is(err, taskstore.ErrInvalid) || sqlState(err) != "23514" {
						return fmt.Errorf("a refused task: %w", err)
					}
				case 2:
					if _, err := b.store.Create(canceled, task); !errors.Is(err, context.Canceled) {
						return fmt.Errorf("a cancelled call: %w", err)
					}
				}
				got, err := b.store.Create(ctx, task)
				if err != nil {
					return err
				}
				if input(got) != task {
					return fmt.Errorf("created %+v, want %+v", got, task)
				}
				created[c] = append(created[c], got)
			}
			return nil
		}))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
	want := slices.Concat(created[:]...)
	slices.SortFunc(want, func(a, b taskstore.Task) int { return cmp.Compare(a.ID, b.ID) })
	if got := stored(t, b.pool); len(got) != callers*each || !slices.Equal(got, want) {
		t.Errorf("%d rows are stored, want the %d that were returned", len(got), len(want))
	}
}
