package behaviour

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestCreateReturnsTheTaskAsStored(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	earliest := b.Now(t)
	first, second := b.Create(t, 1), b.Create(t, 2)
	latest := b.Now(t)

	for i, task := range []taskstore.Task{first, second} {
		if got, want := storetest.Input(task), storetest.NewTask(i+1); got != want {
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
	if got, want := storetest.Stored(t, b.Pool), []taskstore.Task{first, second}; !slices.Equal(got, want) {
		t.Errorf("stored %+v, want %+v", got, want)
	}
}

func TestCreateInATransactionIsTheCallersToCommit(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, commit := range []bool{false, true} {
		tx := b.Begin(t, pgx.ReadCommitted)
		task, err := b.Store.WithTx(tx).Create(t.Context(), storetest.NewTask(1))
		if err != nil {
			t.Fatal(err)
		}
		if got := storetest.Stored(t, tx); !slices.Equal(got, []taskstore.Task{task}) {
			t.Errorf("the transaction sees %+v, want %+v", got, task)
		}
		if got := storetest.Stored(t, b.Pool); len(got) != 0 {
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
		if got := storetest.Stored(t, b.Pool); !slices.Equal(got, want) {
			t.Errorf("commit %v: stored %+v, want %+v", commit, got, want)
		}
	}
}

// A Store over a single connection, and one over a transaction, are as good as one over a pool.
func TestStoreOverEachKindOfDB(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	conn := b.Connection(t)
	tx := b.Begin(t, pgx.ReadCommitted)

	for name, db := range map[string]taskstore.DB{"pool": b.Pool, "conn": conn, "tx": tx} {
		s := storetest.NewStore(db)
		for _, n := range []int{3, 300} { // by INSERT and by COPY
			ids, err := s.CreateMany(t.Context(), storetest.NewTasks(n))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			checkCreated(t, db, ids, storetest.NewTasks(n))
		}
		task, err := s.Create(t.Context(), storetest.NewTask(1))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if task, err = s.SetStatus(t.Context(), task, taskstore.Failed); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := storetest.StoredTask(t, db, task.ID); got != task {
			t.Errorf("%s: stored %+v, want %+v", name, got, task)
		}
	}
}

// checkCreated compares the stored row of each id with the task at the same place in ts.
func checkCreated(t *testing.T, db storetest.Querier, ids []int64, ts []taskstore.NewTask) {
	t.Helper()
	if len(ids) != len(ts) {
		t.Fatalf("%d ids for %d tasks", len(ids), len(ts))
	}
	byID := make(map[int64]taskstore.Task)
	for _, task := range storetest.Stored(t, db) {
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
		case storetest.Input(task) != ts[i]:
			t.Fatalf("ids[%d] = %d is the row %+v, want %+v", i, id, task, ts[i])
		case task.Status != taskstore.Pending || task.UpdatedAt != task.CreatedAt || task.CreatedAt != byID[ids[0]].CreatedAt:
			t.Fatalf("row %+v is not pending, of one time, and of the time of its batch", task)
		}
		seen[id] = true
	}
}

// Callers at the same time each get their own row. One that is refused and one that gives up do not affect the others.
func TestCreateByManyAtOnce(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `ALTER TABLE tasks ADD CONSTRAINT no_13 CHECK (user_id % 100 <> 13)`)
	const callers, each = 32, 20
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	var created [callers][]taskstore.Task
	var done []<-chan error
	for c := range callers {
		done = append(done, storetest.Start(func() error {
			for i := range each {
				task := storetest.NewTask(c*each + i)
				task.UserID = int64(c*each+i)*100 + 1
				refused, ctx := taskstore.NewTask{UserID: 13}, t.Context()
				switch i % 4 {
				case 1:
					if _, err := b.Store.Create(ctx, refused); !errors.Is(err, taskstore.ErrInvalid) ||
						storetest.SQLState(err) != "23514" {
						return fmt.Errorf("a refused task: %w", err)
					}
				case 2:
					if _, err := b.Store.Create(canceled, task); !errors.Is(err, context.Canceled) {
						return fmt.Errorf("a cancelled call: %w", err)
					}
				}
				got, err := b.Store.Create(ctx, task)
				if err != nil {
					return err
				}
				if storetest.Input(got) != task {
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
	if got := storetest.Stored(t, b.Pool); len(got) != callers*each || !slices.Equal(got, want) {
		t.Errorf("%d rows are stored, want the %d that were returned", len(got), len(want))
	}
}
