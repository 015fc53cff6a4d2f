package behaviour

import (
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Of two callers who change the same version one wins, and the row is as the winner wrote it.
func TestTwoUpdatersOneWins(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for round := range 100 {
		old := b.Create(t, round)
		var results [2]taskstore.Task
		var done [2]<-chan error
		ready := make(chan struct{})
		for i := range done {
			mine := old
			mine.UserID = int64(1000 + i)
			done[i] = storetest.Start(func() (err error) {
				<-ready
				if round%2 == 0 || i == 0 {
					results[i], err = b.Store.Update(t.Context(), mine)
				} else {
					results[i], err = b.Store.SetStatus(t.Context(), mine, taskstore.Failed)
				}
				return err
			})
		}
		close(ready)
		first, second := <-done[0], <-done[1]
		winner := 0
		if first != nil {
			winner, first, second = 1, second, first
		}
		if first != nil {
			t.Fatalf("nobody won: %v; %v", first, second)
		}
		storetest.WantError(t, second, taskstore.ErrConflict)
		if row := storetest.StoredTask(t, b.Pool, old.ID); row != results[winner] {
			t.Fatalf("stored %+v, want the winner's %+v", row, results[winner])
		}
	}
}

// The second updater waits for the first one's transaction. How that ends decides what the second one finds.
func TestSecondUpdaterWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			for _, commit := range []bool{true, false} {
				old := b.Create(t, 1)
				tx := b.Begin(t, pgx.ReadCommitted)
				first, err := b.Store.WithTx(tx).SetStatus(t.Context(), old, taskstore.Processing)
				if err != nil {
					t.Fatal(err)
				}
				var second taskstore.Task
				done := storetest.Start(func() (err error) {
					second, err = change(t, b.Store, old)
					return err
				})
				b.WaitForBlocked(t, 1)
				if commit {
					err = tx.Commit(t.Context())
				} else {
					err = tx.Rollback(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				err, want := <-done, first
				if commit {
					storetest.WantError(t, err, taskstore.ErrConflict)
				} else if want = second; err != nil {
					t.Error(err)
				}
				if row := storetest.StoredTask(t, b.Pool, old.ID); row != want {
					t.Errorf("commit %v: stored %+v, want %+v", commit, row, want)
				}
			}
		})
	}
}

// A conflict in READ COMMITTED is not an error of the server: the caller's transaction goes on.
func TestConflictLeavesAReadCommittedTransactionUsable(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	stale := b.Create(t, 1)
	current, err := b.Store.Update(t.Context(), stale)
	if err != nil {
		t.Fatal(err)
	}
	tx := b.Begin(t, pgx.ReadCommitted)
	s := b.Store.WithTx(tx)
	_, err = s.Update(t.Context(), stale)
	storetest.WantError(t, err, taskstore.ErrConflict)
	_, err = s.Get(t.Context(), -1)
	storetest.WantError(t, err, taskstore.ErrNotFound)
	got, err := s.SetStatus(t.Context(), current, taskstore.Completed)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := storetest.StoredTask(t, b.Pool, stale.ID); row != got {
		t.Errorf("stored %+v, want %+v", row, got)
	}
}

const (
	writers32        = 32
	changesPerWriter = 10
)

// hammer lets 32 writers make 10 changes each of one row, each on the version it has just read, and
// returns all versions that were returned, in rising order.
func hammer(t *testing.T, b *storetest.Bundle, id int64) []taskstore.Millis {
	t.Helper()
	s := storetest.NewStore(b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = writers32 }))
	var versions [writers32][]taskstore.Millis
	var done []<-chan error
	for w := range writers32 {
		done = append(done, storetest.Start(func() error {
			for len(versions[w]) < changesPerWriter {
				task, err := s.Get(t.Context(), id)
				if err != nil {
					return err
				}
				seen := task.UpdatedAt
				if w%2 == 0 {
					task, err = s.Update(t.Context(), task)
				} else {
					task, err = s.SetStatus(t.Context(), task, storetest.Statuses[len(versions[w])%4])
				}
				switch {
				case errors.Is(err, taskstore.ErrConflict):
				case err != nil:
					return err
				case task.UpdatedAt <= seen:
					return errors.New("a change did not raise the version")
				default:
					versions[w] = append(versions[w], task.UpdatedAt)
				}
			}
			return nil
		}))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Fatal(err)
		}
	}
	all := slices.Concat(versions[:]...)
	slices.Sort(all)
	return all
}

func TestVersionRisesUnder32Writers(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	task := b.Create(t, 1)
	versions := hammer(t, b, task.ID)
	if n := len(slices.Compact(slices.Clone(versions))); n != writers32*changesPerWriter {
		t.Errorf("%d changes made %d versions, want one each", writers32*changesPerWriter, n)
	}
	if row := storetest.StoredTask(t, b.Pool, task.ID); versions[0] <= task.UpdatedAt ||
		row.UpdatedAt != versions[len(versions)-1] {
		t.Errorf("versions went from %d to %d, the row from %d to %d",
			versions[0], versions[len(versions)-1], task.UpdatedAt, row.UpdatedAt)
	}
}

// A row that is ahead of the clock sees a clock that stands still: each change raises the version by one millisecond.
func TestVersionRisesWhileTheClockStandsStill(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	task := b.Create(t, 1)
	ahead := task.UpdatedAt + 3_600_000
	b.Exec(t, `UPDATE tasks SET updated_at = $2 WHERE id = $1`, task.ID, int64(ahead))
	for i, got := range hammer(t, b, task.ID) {
		if want := ahead + 1 + taskstore.Millis(i); got != want {
			t.Fatalf("version %d is %d, want %d", i+1, got, want)
		}
	}
}

// The same for changes in one transaction, which share its clock.
func TestVersionRisesWithinATransaction(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	tx := b.Begin(t, pgx.ReadCommitted)
	s := b.Store.WithTx(tx)
	task, err := s.Create(t.Context(), storetest.NewTask(1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		seen := task.UpdatedAt
		if task, err = s.SetStatus(t.Context(), task, storetest.Statuses[i%4]); err != nil {
			t.Fatal(err)
		}
		if task.UpdatedAt <= seen {
			t.Fatalf("version %d follows %d", task.UpdatedAt, seen)
		}
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := storetest.StoredTask(t, b.Pool, task.ID); row != task {
		t.Errorf("stored %+v, want %+v", row, task)
	}
}
