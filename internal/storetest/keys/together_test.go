package keys

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Callers who use one key at once all get its one task, whichever way they create it.
func TestOneKeyByManyAtOnce(t *testing.T) {
	t.Parallel()
	for _, callers := range []int{2, 50} {
		t.Run(fmt.Sprint(callers), func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			for round := range 10 {
				key := fmt.Sprint("key ", round)
				ids := make([]int64, callers)
				var done []<-chan error
				for c := range callers {
					create := creates[[]string{"Create", "CreateMany"}[c%2]]
					done = append(done, storetest.Start(func() (err error) {
						ids[c], err = create(t.Context(), b.Store, keyed(c, key))
						return err
					}))
				}
				wait(t, done)
				if slices.Min(ids) != slices.Max(ids) {
					t.Errorf("callers got the tasks %v", slices.Compact(slices.Sorted(slices.Values(ids))))
				}
				wantOwner(t, b, key, ids[0])
			}
			wantStored(t, b, 10, 10)
		})
	}
}

func wait(t *testing.T, done []<-chan error) {
	t.Helper()
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
}

// Batches that overlap, in opposite order, do not wait for each other in a circle. So nobody gets a deadlock, even in a
// caller's transaction, where the Store could not send the statement again.
func TestBatchesThatOverlap(t *testing.T) {
	t.Parallel()
	const n, rounds = 500, 8
	b := storetest.Setup(t)
	for round := range rounds {
		ts := make([]taskstore.NewTask, n)
		for i := range ts {
			ts[i] = keyed(i, fmt.Sprintf("%d of round %d", i, round))
		}
		ids := make([][]int64, 4)
		var done []<-chan error
		for c := range ids {
			mine := slices.Clone(ts)
			if c%2 == 1 {
				slices.Reverse(mine)
			}
			done = append(done, storetest.Start(func() (err error) {
				if c < 2 {
					ids[c], err = b.Store.CreateMany(t.Context(), mine)
				} else {
					err = pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error {
						ids[c], err = b.Store.WithTx(tx).CreateMany(t.Context(), mine)
						return err
					})
				}
				if c%2 == 1 {
					slices.Reverse(ids[c])
				}
				return err
			}))
		}
		wait(t, done)
		for c := range ids {
			if !slices.Equal(ids[c], ids[0]) {
				t.Errorf("caller %d got other tasks", c)
			}
		}
	}
	wantStored(t, b, n*rounds, n*rounds)
}

// If the first creator of a key rolls back, a caller that waits for the key creates the task.
func TestTheFirstCreatorRollsBack(t *testing.T) {
	t.Parallel()
	for name, create := range creates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			tx := b.Begin(t, pgx.ReadCommitted)
			if _, err := create(t.Context(), b.Store.WithTx(tx), keyed(1, "k")); err != nil {
				t.Fatal(err)
			}
			var second int64
			waits := storetest.Start(func() (err error) {
				second, err = create(t.Context(), b.Store, keyed(2, "k"))
				return err
			})
			b.WaitForBlocked(t, 1)
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-waits; err != nil {
				t.Fatal(err)
			}
			if row := storetest.StoredTask(t, b.Pool, second); storetest.Input(row) != storetest.NewTask(2) {
				t.Errorf("stored %+v, want the second caller's", row)
			}
			wantOwner(t, b, "k", second)
			wantStored(t, b, 1, 1)
		})
	}
}
