package work

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// leasesOf returns n leases and one task for each way to have none, each id once.
func leasesOf(t *testing.T, b *storetest.Bundle, n int) (live, lost []taskstore.Task) {
	t.Helper()
	b.CreateMany(t, n+6)
	tasks := storetest.Claim(t, b.Store, n+6)
	live, lost = tasks[:n], tasks[n:]
	if err := b.Store.Release(t.Context(), lost[0]); err != nil { // pending
		t.Fatal(err)
	}
	if err := b.Store.Release(t.Context(), lost[1]); err != nil { // another worker's
		t.Fatal(err)
	}
	b.Exec(t, `UPDATE tasks SET status = 1 WHERE id = $1`, lost[1].ID)
	if err := b.Store.Complete(t.Context(), lost[2]); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.Fail(t.Context(), lost[3]); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.Delete(t.Context(), lost[4].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Store.Update(t.Context(), lost[5]); err != nil { // in processing, at another version
		t.Fatal(err)
	}
	return slices.Clone(live), slices.Clone(lost)
}

func TestFinishEndsLiveLeases(t *testing.T) {
	t.Parallel()
	for name, f := range storetest.Finishes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.CreateMany(t, 4)
			tasks := storetest.Claim(t, b.Store, 3)
			slices.Reverse(tasks) // any order will do
			want := storetest.Stored(t, b.Pool)
			if err := f.End(b.Store, t.Context(), tasks...); err != nil {
				t.Fatal(err)
			}
			after := storetest.Stored(t, b.Pool)
			for i := range 3 {
				want[i] = storetest.Moved(t, want[i], after[i], f.To)
			}
			if !slices.Equal(after, want) {
				t.Errorf("stored\n%+v, want\n%+v", after, want)
			}
			// A lease can be ended once.
			storetest.WantConflict(t, f.End(b.Store, t.Context(), tasks...), 1, 2, 3)
			if !slices.Equal(storetest.Stored(t, b.Pool), after) {
				t.Error("ending a lease twice changed rows")
			}
		})
	}
}

// On a mixed batch the live leases are applied and the error names the others, each once.
func TestFinishOfAMixedBatch(t *testing.T) {
	t.Parallel()
	for name, f := range storetest.Finishes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			live, lost := leasesOf(t, b, 3)
			before := storetest.Stored(t, b.Pool)
			batch := append(slices.Clone(lost), live...)
			batch = append(batch, lost[0], live[0], taskstore.Task{ID: 1_000_000, UpdatedAt: 1})
			err := f.End(b.Store, t.Context(), batch...)
			storetest.WantConflict(t, err, append(storetest.IDs(lost), 1_000_000)...)
			if want := "taskstore: " + name + " 12 tasks: conflict: "; err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %q, want it to begin with %q", err, want)
			}
			after := storetest.Stored(t, b.Pool)
			for i := range live {
				before[i] = storetest.Moved(t, before[i], after[i], f.To)
			}
			if !slices.Equal(after, before) {
				t.Errorf("stored\n%+v, want\n%+v", after, before)
			}

			one := live[0] // an error about one task says which
			if err := f.End(b.Store, t.Context(), one); err == nil ||
				!strings.HasPrefix(err.Error(), "taskstore: "+name+" task 1: conflict: ") {
				t.Errorf("error %q does not name task 1", err)
			}
		})
	}
}

func TestHeartbeatRenewsInPlace(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	live, lost := leasesOf(t, b, 3)
	before := storetest.Stored(t, b.Pool)
	batch := []taskstore.Task{live[2], lost[0], live[0], lost[1], lost[2], lost[3], lost[4], lost[5], live[1]}
	presented := slices.Clone(batch)
	storetest.WantConflict(t, b.Store.Heartbeat(t.Context(), batch), storetest.IDs(lost)...)

	after := storetest.Stored(t, b.Pool)
	for i := range live {
		before[i] = storetest.Moved(t, before[i], after[i], taskstore.Processing)
	}
	if !slices.Equal(after, before) {
		t.Errorf("stored\n%+v, want\n%+v", after, before)
	}
	for i, task := range presented {
		want := task
		if task.ID <= live[2].ID {
			want = after[task.ID-1]
		}
		if batch[i] != want {
			t.Errorf("place %d of the slice is %+v, want %+v", i, batch[i], want)
		}
	}

	// The version that was presented is no longer a lease; the one that was returned is.
	storetest.WantConflict(t, b.Store.Complete(t.Context(), presented[0]), live[2].ID)
	if err := b.Store.Complete(t.Context(), batch[0], batch[2], batch[8]); err != nil {
		t.Error(err)
	}
}

// A batch may be empty: it needs no server.
func TestNoTasksNoStatement(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := storetest.NewStore(b.Pool)
	b.Pool.Close()
	for name, f := range storetest.Finishes {
		if err := f.End(s, t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.End(s, t.Context(), taskstore.Task{ID: 1}); err == nil {
			t.Errorf("%s of a task needs no server", name)
		}
	}
	if err := s.Heartbeat(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if n, err := s.Retry(t.Context()); n != 0 || err != nil {
		t.Errorf("retried %d, %v", n, err)
	}
}

// A lease that ends in a transaction ends with its commit.
func TestFinishInATransaction(t *testing.T) {
	t.Parallel()
	for name, f := range storetest.Finishes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.CreateMany(t, 3)
			tasks := storetest.Claim(t, b.Store, 2)
			before := storetest.Stored(t, b.Pool)
			tx := b.Begin(t, pgx.ReadCommitted)
			renewed := slices.Clone(tasks)
			if err := b.Store.WithTx(tx).Heartbeat(t.Context(), renewed); err != nil {
				t.Fatal(err)
			}
			if err := f.End(b.Store.WithTx(tx), t.Context(), renewed...); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(storetest.Stored(t, b.Pool), before) {
				t.Error("others see what is not committed")
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(storetest.Stored(t, b.Pool), before) {
				t.Error("a rollback left something behind")
			}
			storetest.WantConflict(t, f.End(b.Store, t.Context(), renewed...), 1, 2)

			tx = b.Begin(t, pgx.ReadCommitted)
			if err := f.End(b.Store.WithTx(tx), t.Context(), tasks[0]); err != nil {
				t.Fatal(err)
			}
			storetest.WantConflict(t, f.End(b.Store.WithTx(tx), t.Context(), tasks...), 1) // and the transaction goes on
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, row := range storetest.Stored(t, b.Pool)[:2] {
				if row.Status != f.To {
					t.Errorf("stored %+v, want it %v", row, f.To)
				}
			}
		})
	}
}

// A worker that lost a task and claimed it again has it at two versions. Only the later one is a lease, in
// whichever order they come.
func TestATaskAtTwoVersions(t *testing.T) {
	t.Parallel()
	for name, f := range storetest.Finishes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.CreateMany(t, 2)
			other := storetest.Claim(t, b.Store, 2)
			late := other[0]
			if _, err := storetest.Requeue(t.Context(), b.Store, 1); err != nil {
				t.Fatal(err)
			}
			live := storetest.Claim(t, b.Store, 1)[0]
			if live.ID != late.ID {
				t.Fatalf("claimed %d again, want %d", live.ID, late.ID)
			}
			for _, lateFirst := range []bool{true, false} {
				tasks := []taskstore.Task{live, other[1], late, live}
				if lateFirst {
					tasks[0], tasks[2] = late, live
				}
				before := slices.Clone(tasks)
				storetest.WantConflict(t, b.Store.Heartbeat(t.Context(), tasks), late.ID)
				for i, task := range tasks {
					if renewed := task.UpdatedAt > before[i].UpdatedAt; renewed != (before[i] != late) {
						t.Errorf("heartbeat: %+v became %+v", before[i], task)
					}
				}
				other[1], live = tasks[1], tasks[3]
			}
			storetest.WantConflict(t, f.End(b.Store, t.Context(), late), late.ID)
			storetest.WantConflict(t, f.End(b.Store, t.Context(), late, live, other[1]), late.ID)
			for _, row := range storetest.Stored(t, b.Pool) {
				if row.Status != f.To {
					t.Errorf("stored %+v, want it %s", row, f.To)
				}
			}
		})
	}
}
