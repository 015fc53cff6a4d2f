package behaviour

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// From 200 tasks on CreateMany uses COPY, for fewer an INSERT.
var bothWays = []int{199, 200}

func TestCreateManyReturnsIDsInInputOrder(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 199, 200, 1_000, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			earliest := b.Now(t)
			ids := b.CreateMany(t, n)
			if ids == nil {
				t.Error("ids is nil, want a slice, which is [] as JSON")
			}
			checkCreated(t, b.Pool, ids, storetest.NewTasks(n))
			rows := storetest.Stored(t, b.Pool)
			if len(rows) != n {
				t.Fatalf("%d rows, want %d", len(rows), n)
			}
			if !slices.IsSorted(ids) {
				t.Error("ids do not rise, so that a list would not show the input's order")
			}
			if n > 0 && (rows[0].CreatedAt < earliest || rows[0].CreatedAt > b.Now(t)) {
				t.Errorf("created at %d, want a time after %d", rows[0].CreatedAt, earliest)
			}
		})
	}
}

// Several callers draw ids at once. Each gets the ids of its own tasks.
func TestCreateManyByManyAtOnce(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	const callers = 8
	var ids [callers][]int64
	var tasks [callers][]taskstore.NewTask
	var done []<-chan error
	for c := range callers {
		tasks[c] = storetest.NewTasks(150 + 50*(c%4))
		for i := range tasks[c] {
			tasks[c][i].UserID = int64(c)
		}
		done = append(done, storetest.Start(func() (err error) {
			ids[c], err = b.Store.CreateMany(t.Context(), tasks[c])
			return err
		}))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Fatal(err)
		}
	}
	for c := range callers {
		checkCreated(t, b.Pool, ids[c], tasks[c])
	}
}

func TestCreateManyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `ALTER TABLE tasks ADD CONSTRAINT no_13 CHECK (user_id <> 13)`)
	before := b.Create(t, 1)
	for _, n := range bothWays {
		for _, refused := range []int{0, n / 2, n - 1} {
			ts := storetest.NewTasks(n)
			ts[refused].UserID = 13
			ids, err := b.Store.CreateMany(t.Context(), ts)
			storetest.WantError(t, err, taskstore.ErrInvalid)
			if storetest.SQLState(err) != "23514" {
				t.Errorf("SQLSTATE %q, want that of a CHECK: %v", storetest.SQLState(err), err)
			}
			if ids != nil {
				t.Errorf("%d ids of tasks that do not exist", len(ids))
			}
			if got := storetest.Stored(t, b.Pool); !slices.Equal(got, []taskstore.Task{before}) {
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
			b := storetest.Setup(t)

			tx := b.Begin(t, pgx.ReadCommitted)
			ids, err := b.Store.WithTx(tx).CreateMany(t.Context(), storetest.NewTasks(n))
			if err != nil {
				t.Fatal(err)
			}
			checkCreated(t, tx, ids, storetest.NewTasks(n))
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := storetest.Stored(t, b.Pool); len(got) != 0 {
				t.Fatalf("%d rows after a rollback", len(got))
			}

			tx = b.Begin(t, pgx.ReadCommitted)
			if ids, err = b.Store.WithTx(tx).CreateMany(t.Context(), storetest.NewTasks(n)); err != nil {
				t.Fatal(err)
			}
			if got := storetest.Stored(t, b.Pool); len(got) != 0 {
				t.Fatalf("others see %d rows before the commit", len(got))
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkCreated(t, b.Pool, ids, storetest.NewTasks(n))
		})
	}
}

// A refused batch leaves a transaction usable if the caller set a savepoint.
func TestCreateManyRefusedInASavepoint(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "what a node refuses in a COPY comes without its code")
	b := storetest.Setup(t)
	b.Exec(t, `ALTER TABLE tasks ADD CONSTRAINT no_13 CHECK (user_id <> 13)`)
	for _, n := range bothWays {
		tx := b.Begin(t, pgx.ReadCommitted)
		savepoint, err := tx.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ts := storetest.NewTasks(n)
		ts[n-1].UserID = 13
		_, err = b.Store.WithTx(savepoint).CreateMany(t.Context(), ts)
		storetest.WantError(t, err, taskstore.ErrInvalid)
		if err := savepoint.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		ids, err := b.Store.WithTx(tx).CreateMany(t.Context(), storetest.NewTasks(n))
		if err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		checkCreated(t, b.Pool, ids, storetest.NewTasks(n))
		b.Exec(t, `DELETE FROM tasks`)
	}
}
