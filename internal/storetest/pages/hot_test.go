package pages

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Heartbeats are HOT updates, which write no index. The first ones are not, because the claim has filled their pages:
// how many is logged.
//
// This test runs alone: while a transaction that writes goes on anywhere on the server, even in another database, no
// page gets rid of old versions, and full pages have no room for a HOT update. On a server with other users a window
// may be disturbed like that; without the storage parameters, or with an index on updated_at, none of them passes.
func TestHeartbeatsAreHOT(t *testing.T) { //nolint:paralleltest // see above
	const leases, warmUp, measured, windows = 500, 5_000, 10_000, 3
	for _, batch := range []int{1, 50, leases} {
		t.Run(fmt.Sprintf("in batches of %d", batch), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Exec(t, "ALTER TABLE tasks SET (autovacuum_enabled = false)") // its snapshot disturbs too
			b.pending(t, 10*leases)
			b.Exec(t, "VACUUM (ANALYZE) tasks")
			tasks := storetest.Claim(t, b.Store, leases)
			b.waitForUpdates(t, leases)

			cold := b.heartbeat(t, tasks, batch, warmUp)
			t.Logf("HOT: %d of the first %d heartbeats", cold, warmUp)
			for range windows {
				hot := b.heartbeat(t, tasks, batch, measured)
				t.Logf("HOT: %d of the next %d", hot, measured)
				if 100*hot >= 95*measured {
					return
				}
			}
			t.Error("less than 95 % of the heartbeats were HOT")
		})
	}
}

// heartbeat sends n heartbeats and returns how many of them were HOT. They go through a connection that
// ends with them: at its end at the latest it reports what it did.
func (b *table) heartbeat(t *testing.T, tasks []taskstore.Task, batch, n int) int64 {
	t.Helper()
	before, hotBefore := b.updates(t)
	pool := b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	store := taskstore.New(pool)
	for sent := 0; sent < n; sent += batch {
		first := sent % len(tasks)
		if err := store.Heartbeat(t.Context(), tasks[first:first+batch]); err != nil {
			t.Fatal(err)
		}
	}
	pool.Close()
	b.waitForUpdates(t, before+int64(n))
	after, hot := b.updates(t)
	if after-before != int64(n) {
		t.Errorf("%d rows were updated by %d heartbeats", after-before, n)
	}
	return hot - hotBefore
}

func (b *table) waitForUpdates(t *testing.T, n int64) {
	t.Helper()
	b.WaitFor(t, `SELECT n_tup_upd >= $1 FROM pg_stat_user_tables WHERE relname = 'tasks'`, n)
}

// updates returns how many updates of rows are reported so far, and how many of them were HOT.
func (b *table) updates(t *testing.T) (all, hot int64) {
	t.Helper()
	const sql = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tasks'"
	if err := b.Pool.QueryRow(t.Context(), sql).Scan(&all, &hot); err != nil {
		t.Fatal(err)
	}
	return all, hot
}
