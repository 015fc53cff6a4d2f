package behaviour

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// rowChanges are the methods that write to a row that is there.
var rowChanges = map[string]func(t *testing.T, s *taskstore.Store, task taskstore.Task) error{
	"Update": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
		_, err := s.Update(t.Context(), task)
		return err
	},
	"SetStatus": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
		_, err := s.SetStatus(t.Context(), task, taskstore.Failed)
		return err
	},
	"Delete": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
		return s.Delete(t.Context(), task.ID)
	},
}

// rivals change a row under the eyes of a transaction that has seen it, and return how it fares when it
// then tries to write.
var rivals = map[string]func(t *testing.T, b *storetest.Bundle, task taskstore.Task, try func() error) error{
	"updates": func(t *testing.T, b *storetest.Bundle, task taskstore.Task, try func() error) error {
		if _, err := b.Store.SetStatus(t.Context(), task, taskstore.Processing); err != nil {
			t.Fatal(err)
		}
		return try()
	},
	"deletes": func(t *testing.T, b *storetest.Bundle, task taskstore.Task, try func() error) error {
		if err := b.Store.Delete(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		return try()
	},
	"updates, commits later": func(t *testing.T, b *storetest.Bundle, task taskstore.Task, try func() error) error {
		tx := b.Begin(t, pgx.ReadCommitted)
		if _, err := b.Store.WithTx(tx).SetStatus(t.Context(), task, taskstore.Processing); err != nil {
			t.Fatal(err)
		}
		done := storetest.Start(try)
		b.WaitForBlocked(t, 1)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		return <-done
	},
}

// Where the snapshot is older than the row, the server reports a lost race as 40001. The caller sees
// the same typed error as in READ COMMITTED, and can find the server's.
func TestLostRaceInAStrictTransaction(t *testing.T) {
	t.Parallel()
	for _, level := range storetest.StrictLevels {
		for name, change := range rowChanges {
			t.Run(fmt.Sprintf("%s/%s", level, name), func(t *testing.T) {
				t.Parallel()
				b := storetest.Setup(t)
				for how, rival := range rivals {
					t.Logf("a rival %s", how)
					task := b.Create(t, 1)
					tx := b.Begin(t, level)
					s := b.Store.WithTx(tx)
					if _, err := s.Get(t.Context(), task.ID); err != nil { // takes the snapshot
						t.Fatal(err)
					}
					err := rival(t, b, task, func() error { return change(t, s, task) })
					checkLost(t, b, tx, task.ID, err)
				}
			})
		}
	}
}

// checkLost checks that the loser of a race gets what it is promised.
func checkLost(t *testing.T, b *storetest.Bundle, tx pgx.Tx, id int64, err error) {
	t.Helper()
	before := storetest.Stored(t, b.Pool)
	storetest.WantError(t, err, taskstore.ErrConflict)
	if storetest.SQLState(err) != "40001" {
		t.Errorf("SQLSTATE %q, want 40001: %v", storetest.SQLState(err), err)
	}
	// The transaction is aborted, which is a typed error of the server too, and no conflict.
	_, err = b.Store.WithTx(tx).Get(t.Context(), id)
	if storetest.SQLState(err) != "25P02" {
		t.Errorf("SQLSTATE %q, want 25P02: %v", storetest.SQLState(err), err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if after := storetest.Stored(t, b.Pool); !slices.Equal(after, before) {
		t.Errorf("stored %+v, want the other's %+v", after, before)
	}
}

// Without a rival, strict transactions work as any other.
func TestStrictTransactionWithoutARival(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, level := range storetest.StrictLevels {
		tx := b.Begin(t, level)
		s := b.Store.WithTx(tx)
		ids, err := s.CreateMany(t.Context(), storetest.NewTasks(300))
		if err != nil {
			t.Fatal(err)
		}
		task, err := s.Get(t.Context(), ids[7])
		if err != nil {
			t.Fatal(err)
		}
		stale := task
		if task, err = s.Update(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		_, err = s.Update(t.Context(), stale) // its own stale version is a conflict without an error of the server
		storetest.WantError(t, err, taskstore.ErrConflict)
		if task, err = s.SetStatus(t.Context(), task, taskstore.Failed); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), ids[0]); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if row := storetest.StoredTask(t, b.Pool, task.ID); row != task {
			t.Errorf("stored %+v, want %+v", row, task)
		}
		if n := storetest.One[int](t, b.Pool, `SELECT count(*) FROM tasks WHERE id = ANY($1)`, ids); n != 299 {
			t.Errorf("%d rows, want 299", n)
		}
	}
}

// Two transactions that each count and then create cannot both be right. So the second one's write is a
// conflict, also by CreateMany, with INSERT or COPY.
func TestWriteSkewIsAConflict(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "what a node refuses in a COPY comes without its code")
	for name, create := range map[string]func(t *testing.T, s *taskstore.Store) error{
		"Create": func(t *testing.T, s *taskstore.Store) error {
			_, err := s.Create(t.Context(), storetest.NewTask(2))
			return err
		},
		"CreateMany by INSERT": func(t *testing.T, s *taskstore.Store) error {
			_, err := s.CreateMany(t.Context(), storetest.NewTasks(2))
			return err
		},
		"CreateMany by COPY": func(t *testing.T, s *taskstore.Store) error {
			_, err := s.CreateMany(t.Context(), storetest.NewTasks(300))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.Create(t, 1)
			first, second := b.Begin(t, pgx.Serializable), b.Begin(t, pgx.Serializable)
			for _, tx := range []pgx.Tx{first, second} {
				if n, err := b.Store.WithTx(tx).Count(t.Context(), taskstore.Filter{}); err != nil || n != 1 {
					t.Fatalf("counted %d, %v", n, err)
				}
			}
			if _, err := b.Store.WithTx(first).Create(t.Context(), storetest.NewTask(2)); err != nil {
				t.Fatal(err)
			}
			if err := first.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := create(t, b.Store.WithTx(second))
			storetest.WantError(t, err, taskstore.ErrConflict)
			if storetest.SQLState(err) != "40001" {
				t.Errorf("SQLSTATE %q, want 40001: %v", storetest.SQLState(err), err)
			}
			if err := second.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(storetest.Stored(t, b.Pool)); n != 2 {
				t.Errorf("%d rows, want the first one's and the one before", n)
			}
		})
	}
}
