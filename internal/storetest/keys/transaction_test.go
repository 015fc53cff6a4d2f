package keys

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// In a caller's transaction a key is taken when that commits, and free again when it rolls back. The transaction sees
// its own keys.
func TestKeysInATransaction(t *testing.T) {
	t.Parallel()
	for name, create := range creates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			for _, commit := range []bool{false, true} {
				tx := b.Begin(t, pgx.ReadCommitted)
				s := b.Store.WithTx(tx)
				first, err := create(t.Context(), s, keyed(1, "k"))
				if err != nil {
					t.Fatal(err)
				}
				if again, err := create(t.Context(), s, keyed(2, "k")); err != nil || again != first {
					t.Errorf("created again: %d, %v, want %d", again, err, first)
				}
				if got, err := s.GetByKey(t.Context(), "k"); err != nil || got.ID != first {
					t.Errorf("the transaction finds %+v, %v", got, err)
				}
				wantOwner(t, b, "k", 0)
				if commit {
					err = tx.Commit(t.Context())
				} else {
					err, first = tx.Rollback(t.Context()), 0
				}
				if err != nil {
					t.Fatal(err)
				}
				wantOwner(t, b, "k", first)
			}
			wantStored(t, b, 1, 1)
		})
	}
}

// In a strict transaction a key that somebody took after the snapshot is a conflict, and one that was taken before
// gives its task. There are never two tasks.
func TestKeysInAStrictTransaction(t *testing.T) {
	t.Parallel()
	for _, level := range storetest.StrictLevels {
		for name, create := range creates {
			t.Run(fmt.Sprintf("%s/%s", level, name), func(t *testing.T) {
				t.Parallel()
				b := storetest.Setup(t)
				before, err := b.Store.Create(t.Context(), keyed(1, "before"))
				if err != nil {
					t.Fatal(err)
				}
				strict := func() (pgx.Tx, *taskstore.Store) {
					tx := b.Begin(t, level)
					storetest.Stored(t, tx) // takes the snapshot
					return tx, b.Store.WithTx(tx)
				}
				tx, s := strict()
				if id, err := create(t.Context(), s, keyed(2, "before")); err != nil || id != before.ID {
					t.Errorf("a key that was taken before: %d, %v, want %d", id, err, before.ID)
				}
				after, err := b.Store.Create(t.Context(), keyed(3, "after"))
				if err != nil {
					t.Fatal(err)
				}
				_, err = create(t.Context(), s, keyed(4, "after"))
				storetest.WantError(t, err, taskstore.ErrConflict)
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantOwner(t, b, "after", after.ID)

				// Two strict transactions at once.
				first, s1 := strict()
				_, s2 := strict()
				winner, err := create(t.Context(), s1, keyed(5, "both"))
				if err != nil {
					t.Fatal(err)
				}
				waits := storetest.Start(func() error {
					_, err := create(t.Context(), s2, keyed(6, "both"))
					return err
				})
				b.WaitForBlocked(t, 1)
				if err := first.Commit(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := <-waits; !errors.Is(err, taskstore.ErrConflict) {
					t.Errorf("the second got %v, want ErrConflict", err)
				}
				wantOwner(t, b, "both", winner)
				wantStored(t, b, 3, 3)
			})
		}
	}
}
