package pages

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/taskstore"
)

// naiveClaim is how a claim is usually written.
const naiveClaim = `UPDATE tasks SET status = 1,
	updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id IN (SELECT id FROM tasks WHERE status = 0 ORDER BY id LIMIT $1::integer FOR UPDATE SKIP LOCKED)
RETURNING *`

const (
	claimed = 50 // tasks a claim
	listed  = 100
)

// workCost is what the statements of a worker touch, in pages.
type workCost struct {
	claim, claimBatch, list int64 // in steady state
	fromBottom              int64 // a claim that knows nothing of where the pending tasks begin
	naive, naiveNoIndex     int64
}

// A claim, of all or of one batch, costs as much as on a table that holds nothing else, however much was finished and
// however many dead entries an old snapshot keeps.
func TestPagesOfAClaim(t *testing.T) {
	t.Parallel()
	const finished, dead = 1_000_000, 100_000
	small, large := setup(t), setup(t)

	large.finished(t, finished)
	alone := measureWork(t, small, "nothing else")
	check := func(b *table, name string) map[string]workCost {
		t.Helper()
		costs := measureWork(t, b, name)
		for planMode, cost := range costs {
			base := alone[planMode]
			atMost(t, name+", Claim, "+planMode, cost.claim, base.claim)
			atMost(t, name+", ClaimBatch, "+planMode, cost.claimBatch, base.claimBatch)
			atMost(t, name+", List, "+planMode, cost.list, base.list)
		}
		return costs
	}
	check(large, "1,000,000 finished")

	small.holdSnapshot(t)
	small.dead(t, dead)
	behind := check(small, "100,000 dead")
	if got, base := behind[customPlan].fromBottom, alone[customPlan].fromBottom; got < 2*base {
		t.Errorf("a claim from the bottom touches %d pages, %d without dead entries: there are none", got, base)
	}

	large.holdSnapshot(t)
	large.dead(t, dead)
	check(large, "both")
}

// A claim of a batch that has nothing pending does not search the pending tasks of other batches, however frequent the
// batch is. A query that says `ORDER BY id` and no more does so here, which shows that the test can fail.
func TestPagesOfABatchWithNothingPending(t *testing.T) {
	t.Parallel()
	const rows, most = 100_000, 20
	b := setup(t)
	b.finished(t, rows)
	b.Exec(t, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		SELECT 8, 8, 8, 8, 8, '' FROM generate_series(1, $1::integer)`, rows)
	b.Exec(t, "VACUUM (ANALYZE) tasks")
	tempted := newMeter(t, b, customPlan).explain(`SELECT id FROM tasks
		WHERE integration_id = $1 AND client_id = $2 AND template_id = $3 AND status = 0 ORDER BY id LIMIT $4`,
		busy.IntegrationID, busy.ClientID, busy.TemplateID, claimed)
	if tempted.pages < 10*most {
		t.Errorf("a query that orders by id alone touches %d pages: nothing here could fail", tempted.pages)
	}
	for _, planMode := range []string{customPlan, genericPlan} {
		m := newMeter(t, b, planMode)
		ts, err := taskstore.New(m).ClaimBy(t.Context(), taskstore.ByBatch(busy), claimed)
		if err != nil || len(ts) != 0 {
			t.Errorf("claimed %d tasks, %v", len(ts), err)
		}
		if pages := m.last().pages; pages > most {
			t.Errorf("%s: a claim that finds nothing touches %d pages: %s", planMode, pages, m.last().plan.Text)
		}
		ts, err = taskstore.New(m).List(t.Context(), taskstore.ByBatch(busy).WithStatus(taskstore.Pending), taskstore.Page{})
		if err != nil || len(ts) != 0 {
			t.Errorf("listed %d tasks, %v", len(ts), err)
		}
		if pages := m.last().pages; pages > most {
			t.Errorf("%s: a list that finds nothing touches %d pages", planMode, pages)
		}
	}
}

// atMost fails the test if pages are more than half as many again as base.
func atMost(t *testing.T, what string, pages, base int64) {
	t.Helper()
	if 2*pages > 3*base {
		t.Errorf("%s: %d pages, more than 1.5 times the %d on a table that holds nothing else", what, pages, base)
	}
}

// measureWork adds pending tasks and says what the work on them costs under each kind of plan.
func measureWork(t *testing.T, b *table, name string) map[string]workCost {
	t.Helper()
	costs := make(map[string]workCost)
	for _, planMode := range []string{customPlan, genericPlan} {
		b.pending(t, 5000)
		b.Exec(t, "ANALYZE tasks")
		m := newMeter(t, b, planMode)
		store := taskstore.New(m)
		var cost workCost
		if _, err := store.Claim(t.Context(), claimed); err != nil {
			t.Fatal(err)
		}
		cost.fromBottom = m.last().pages
		cost.claim = steady(t, m, 1, func() ([]taskstore.Task, error) { return store.Claim(t.Context(), claimed) })
		cost.claimBatch = steady(t, m, 4, func() ([]taskstore.Task, error) {
			return store.ClaimBy(t.Context(), taskstore.ByBatch(busy), claimed)
		})
		if plan := m.last().plan; !slices.Contains(plan.Indexes, "idx_tasks_pending_batch") ||
			strings.Contains(plan.Text, "Sort") {
			t.Errorf("%s, %s: a claim of a batch does not read its own index in its order: %s", name, planMode, plan.Text)
		}
		page := taskstore.Page{Limit: listed}
		ts, err := store.List(t.Context(), taskstore.ByBatch(busy).WithStatus(taskstore.Pending), page)
		if err != nil || len(ts) != listed {
			t.Fatalf("listed %d tasks, %v", len(ts), err)
		}
		cost.list = m.last().pages
		cost.naive = m.explain(naiveClaim, claimed).pages
		cost.naiveNoIndex = m.explainAfter([]string{"DROP INDEX idx_tasks_pending, idx_tasks_pending_batch"},
			naiveClaim, claimed).pages
		costs[planMode] = cost
		t.Logf("%-18s %-18s pages: claim %d, of a batch %d, list %d; from the bottom %d; naive %d, without our indexes %d",
			name, planMode, cost.claim, cost.claimBatch, cost.list, cost.fromBottom, cost.naive, cost.naiveNoIndex)
	}
	return costs
}

// steady claims until a claim starts at a mark, not at the bottom, and says what that one touched. The
// mark is the argument at that place.
func steady(t *testing.T, m *meter, mark int, claim func() ([]taskstore.Task, error)) int64 {
	t.Helper()
	for {
		ts, err := claim()
		if err != nil {
			t.Fatal(err)
		}
		if len(ts) != claimed {
			t.Fatalf("claimed %d tasks, want %d", len(ts), claimed)
		}
		if m.last().args[mark] != int64(math.MinInt64) {
			return m.last().pages
		}
	}
}
