package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// From 200 tasks on CreateMany uses COPY, below it an INSERT.
var bothWays = []int{199, 200}

func TestCreateManyReturnsIDsInInputOrder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 199, 200, 1_000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			earliest := b.now(t)
			ids := b.createMany(t, n)
			if ids == nil {
				t.Error("ids is nil, want a slice, which is [] as JSON")
			}
			checkCreated(t, b.pool, ids, newTasks(n))
			rows := stored(t, b.pool)
			if len(rows) != n {
				t.Fatalf("%d rows, want %d", len(rows), n)
			}
			if !slices.IsSorted(ids) {
				t.Error("ids do not rise, so that a list would not show the input's order")
			}
			if n > 0 && (rows[0].CreatedAt < earliest || rows[0].CreatedAt > b.now(t)) {
				t.Errorf("created at %d, want a time after %d", rows[0].CreatedAt, earliest)
			}
		})
	}
}

// Ids drawn by several callers at once interleave; each caller's are still those of its own tasks.
func TestCreateManyByManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const callers = 8
	var ids [callers][]int64
	var tasks [callers][]taskstore.NewTask
	var done []<-chan error
	for c := range callers {
		tasks[c] = newTasks(150 + 50*(c%4))
		for i := range tasks[c] {
			tasks[c][i].UserID = int64(c)
		}
		done = append(done, start(func() (err error) {
			ids[c], err = b.store.CreateMany(t.Context(), tasks[c])
			return err
		}))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Fatal(err)
		}
	}
	for c := range callers {
		checkCreated(t, b.pool, ids[c], tasks[c])
	}
}

func TestCreateManyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `ALTER TABLE tasks ADD CONSTRAINT no_13 CHECK (user_id <> 13)`)
	before := b.create(t, 1)
	for _, n := range bothWays {
		for _, refused := range []int{0, n / 2, n - 1} {
			ts := newTasks(n)
			ts[refused].UserID = 13
			ids, err := b.store.CreateMany(t.Context(), ts)
			wantError(t, err, taskstore.ErrInvalid)
			if sqlState(err) != "23514" {
				t.Errorf("SQLSTATE %q, want that of a CHECK: %v", sqlState(err), err)
			}
			if ids != nil {
				t.Errorf("%d ids of tasks that do not exist", len(ids))
			}
			if got := stored(t, b.pool); !slices.Equal(got, []taskstore.Task{before}) {
				t.Fatalf("of %d tasks with a refused one at %d, %d were stored", n, refused, len(got)-1)
			}
		}
	}
}

func TestCreateManyInATransaction(t *testing.T) {
	t.Parallel()
	for _, n := range bothWays {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := setup(t)

			tx := b.begin(t, pgx.ReadCommitted)
			ids, err := b.store.WithTx(tx).CreateMany(t.Context(), newTasks(n))
			if err != nil {
				t.Fatal(err)
			}
			checkCreated(t, tx, ids, newTasks(n))
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := stored(t, b.pool); len(got) != 0 {
				t.Fatalf("%d rows after a rollback", len(got))
			}

			tx = b.begin(t, pgx.ReadCommitted)
			if ids, err = b.store.WithTx(tx).CreateMany(t.Context(), newTasks(n)); err != nil {
				t.Fatal(err)
			}
			if got := stored(t, b.pool); len(got) != 0 {
				t.Fatalf("others see %d rows before the commit", len(got))
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkCreated(t, b.pool, ids, newTasks(n))
		})
	}
}

// A refused batch leaves a transaction usable if the caller set a savepoint.
func TestCreateManyRefusedInASavepoint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `ALTER TABLE tasks ADD CONSTRAINT no_13 CHECK (user_id <> 13)`)
	for _, n := range bothWays {
		tx := b.begin(t, pgx.ReadCommitted)
		savepoint, err := tx.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ts := newTasks(n)
		ts[n-1].UserID = 13
		_, err = b.store.WithTx(savepoint).CreateMany(t.Context(), ts)
		wantError(t, err, taskstore.ErrInvalid)
		if err := savepoint.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids, err := b.store.WithTx(tx).CreateMany(t.Context(), newTasks(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkCreated(t, b.pool, ids, newTasks(n))
		b.exec(t, `DELETE FROM tasks`)
	}
}
