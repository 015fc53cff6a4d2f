package faults

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// One row that another session has locked does not stop upkeep.
func TestUpkeepPassesByALockedRow(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	const n, locked = 1_000, 500
	work := map[taskstore.Status]func() (int64, error){
		taskstore.Processing: func() (int64, error) {
			ids, err := b.Store.RequeueStale(t.Context(), taskstore.Filter{}, time.Hour, n)
			return int64(len(ids)), err
		},
		taskstore.Completed: func() (int64, error) { return b.Store.DeleteFinished(t.Context(), storetest.Cutoff, n) },
	}
	for st, call := range work {
		b.Exec(t, `TRUNCATE tasks RESTART IDENTITY`)
		b.History(t, n, st, storetest.LongAgo)
		tx := lockRow(t, b, locked)
		if done, err := call(); done != n-1 || err != nil {
			t.Errorf("%v: %d of %d rows, %v", st, done, n, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if row := storetest.StoredTask(t, b.Admin, locked); row.Status != st {
			t.Errorf("the locked row is %v, want %v", row.Status, st)
		}
		if done, err := call(); done != 1 || err != nil {
			t.Errorf("%v: then %d rows, %v; want 1", st, done, err)
		}
	}
}

// A heartbeat renews at once what nobody has locked. A lease that it passes by stays alive while the other session
// holds its lock. If that session has changed the row, the lease is lost when it commits.
func TestHeartbeatPassesByALockedRow(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, change := range []bool{false, true} {
		b.Exec(t, `TRUNCATE tasks`)
		b.CreateMany(t, 50)
		leases := storetest.Claim(t, b.Store, 50)
		before, locked := slices.Clone(leases), leases[25].ID
		tx := lockRow(t, b, locked)
		if change {
			if _, err := tx.Exec(t.Context(), `UPDATE tasks SET status = 0 WHERE id = $1`, locked); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Store.Heartbeat(t.Context(), leases); err != nil {
			t.Fatalf("heartbeat beside a locked row: %v", err)
		}
		for i, lease := range leases {
			if renewed := lease.UpdatedAt > before[i].UpdatedAt; renewed != (lease.ID != locked) {
				t.Errorf("task %d of 50: renewed is %v", i, renewed)
			}
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		var want []int64
		if change {
			want = []int64{locked}
		}
		if err := b.Store.Heartbeat(t.Context(), leases); change {
			storetest.WantConflict(t, err, want...)
		} else if err != nil {
			t.Error(err)
		}
		if err := b.Store.Complete(t.Context(), leases...); change {
			storetest.WantConflict(t, err, want...)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// A lease that a heartbeat has passed by can be ended by the version that it has.
func TestPassedByLeaseIsAlive(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Create(t, 1)
	leases := storetest.Claim(t, b.Store, 1)
	tx := lockRow(t, b, leases[0].ID)
	if err := b.Store.Heartbeat(t.Context(), leases); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.Complete(t.Context(), leases...); err != nil {
		t.Error(err)
	}
	if row := storetest.StoredTask(t, b.Admin, leases[0].ID); row.Status != taskstore.Completed {
		t.Errorf("it is %v", row.Status)
	}
}

// lockRow locks a row in a session of the test's own.
func lockRow(t *testing.T, b *storetest.Bundle, id int64) pgx.Tx {
	t.Helper()
	tx := b.Begin(t, pgx.ReadCommitted)
	if got := storetest.One[int64](t, tx, `SELECT id FROM tasks WHERE id = $1 FOR UPDATE`, id); got != id {
		t.Fatalf("locked row %d, not %d", got, id)
	}
	return tx
}
