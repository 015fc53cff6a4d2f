package pages

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// hostilePlans are settings that make the planner choose other plans. A nested loop, which runs a subquery again for
// each row, is the plan that claims too many.
var hostilePlans = map[string]map[string]string{
	"as it is": {},
	"nested loop": {
		"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_hashagg": "off",
		"enable_sort": "off", "enable_material": "off", "enable_memoize": "off",
	},
	"hash join":  {"enable_nestloop": "off", "enable_mergejoin": "off"},
	"merge join": {"enable_nestloop": "off", "enable_hashjoin": "off"},
	"seq scan":   {"enable_indexscan": "off", "enable_indexonlyscan": "off", "enable_bitmapscan": "off"},
}

// hostileStatistics fill the table with pending tasks, and leave statistics on it, true or false.
var hostileStatistics = map[string]func(t *testing.T, b *table, pending int){
	"true": func(t *testing.T, b *table, pending int) {
		b.pending(t, pending)
		b.Exec(t, "VACUUM (ANALYZE) tasks")
	},
	"from when it had one task": func(t *testing.T, b *table, pending int) {
		b.pending(t, 1)
		b.Exec(t, "VACUUM (ANALYZE) tasks")
		b.pending(t, pending-1)
	},
	"from when nothing was pending": func(t *testing.T, b *table, pending int) {
		b.finished(t, pending)
		b.Exec(t, "UPDATE tasks SET status = 0, updated_at = updated_at + 1")
	},
}

// A claim returns at most n under every plan. The test shows too that naiveClaim takes more under some of these plans.
func TestClaimNeverTakesMore(t *testing.T) {
	t.Parallel()
	const pending, n = 500, 5
	for stats, fill := range hostileStatistics {
		t.Run(stats, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.Exec(t, "ALTER TABLE tasks SET (autovacuum_enabled = false)") // the statistics stay as they are
			fill(t, b, pending)
			overclaimed := 0
			for name, settings := range hostilePlans {
				for _, planMode := range []string{customPlan, genericPlan} {
					pool := b.Connect(t, func(c *pgxpool.Config) {
						c.ConnConfig.RuntimeParams["plan_cache_mode"] = planMode
						for setting, value := range settings {
							c.ConnConfig.RuntimeParams[setting] = value
						}
					})
					naive := rolledBack(t, pool, func(tx pgx.Tx) int {
						rows, err := tx.Query(t.Context(), naiveClaim, n)
						if err != nil {
							t.Fatal(err)
						}
						defer rows.Close()
						got := 0
						for rows.Next() {
							got++
						}
						return got
					})
					if naive > n {
						overclaimed++
						t.Logf("%s, %s: the naive claim takes %d tasks instead of %d", name, planMode, naive, n)
					}
					for range 7 { // a prepared statement's plan may change with its sixth use
						got := rolledBack(t, pool, func(tx pgx.Tx) int {
							s := taskstore.New(tx)
							return len(storetest.Claim(t, s, n)) + len(storetest.ClaimBatch(t, s, busy, n))
						})
						if got != 2*n {
							t.Errorf("%s, %s: claimed %d tasks, want %d", name, planMode, got, 2*n)
						}
					}
				}
			}
			if overclaimed == 0 {
				t.Error("the naive claim never takes too many: nothing here could fail")
			}
		})
	}
}

// rolledBack runs f in a transaction that leaves no trace.
func rolledBack(t *testing.T, pool *pgxpool.Pool, f func(tx pgx.Tx) int) int {
	t.Helper()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := f(tx)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	return n
}
