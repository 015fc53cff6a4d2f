package pages

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

// A claim that finds nothing, or less than it asks for, costs as much with an old snapshot and 100,000 dead entries as
// on a clean table. Once a second a claim looks from the bottom. Those claims are counted, and their cost is left out.
func TestPagesOfAnIdleClaim(t *testing.T) {
	t.Parallel()
	const (
		dead   = 100_000
		taller = 2 // levels by which the dead entries make an index taller
	)
	b := setup(t)
	b.finished(t, 1_000)
	clean := b.idle(t)
	b.holdSnapshot(t)
	b.dead(t, dead)
	for what, pages := range b.idle(t) {
		base := clean[what]
		t.Logf("%s: 0 pending: %d pages, clean %d; 3 pending: %d, %d; from the bottom: %d, %d",
			what, pages.idle, base.idle, pages.few, base.few, pages.fromBottom, base.fromBottom)
		if pages.fromBottom < 10*base.idle {
			t.Error("a claim that knows nothing is as cheap: nothing here could fail")
		}
		atMost(t, what+", 0 pending", pages.idle-taller, base.idle)
		atMost(t, what+", 3 pending", pages.few-taller, base.few)
	}
}

// idleCost is what claims touch at most where little is pending, in pages.
type idleCost struct {
	fromBottom int64 // the first of a Store
	idle, few  int64 // of a Store that has gone on for a while, with none and 3 pending
}

// idle measures claims from each kind of queue, under each kind of plan.
func (b *table) idle(t *testing.T) map[string]idleCost {
	t.Helper()
	costs := make(map[string]idleCost)
	for _, planMode := range []string{customPlan, genericPlan} {
		for name, queue := range map[string]taskstore.Filter{
			"all": {}, "one batch": taskstore.ByBatch(busy),
			"one integration": taskstore.ByIntegration(busy.IntegrationID),
			"one template":    taskstore.ByTemplate(busy.TemplateID),
		} {
			m := newMeter(t, b, planMode)
			s := taskstore.New(m)
			cost := idleCost{fromBottom: m.of(func() { claim(t, s, queue, 0) })}
			for m.atTheBottom() { // until nothing lags
				m.of(func() { claim(t, s, queue, 0) })
			}
			cost.idle = b.most(t, m, func() { claim(t, s, queue, 0) })
			cost.few = b.most(t, m, func() {
				b.pending(t, 3)
				claim(t, s, queue, 3)
			})
			costs[name+", "+planMode] = cost
		}
	}
	return costs
}

func claim(t *testing.T, s *taskstore.Store, queue taskstore.Filter, want int) {
	t.Helper()
	ts, err := s.ClaimBy(t.Context(), queue, claimed)
	if err != nil || len(ts) != want {
		t.Fatalf("claimed %d tasks, %v, want %d", len(ts), err, want)
	}
}

// most returns the most pages that one of some claims touches, and fails the test if more of them looked from the
// bottom than seconds have passed.
func (b *table) most(t *testing.T, m *meter, claim func()) (most int64) {
	t.Helper()
	const claims = 30
	looks := 0
	began := time.Now()
	for range claims {
		if pages := m.of(claim); !m.atTheBottom() {
			most = max(most, pages)
		} else {
			looks++
		}
	}
	if seconds := int(time.Since(began)/time.Second) + 1; looks > seconds || looks == claims {
		t.Errorf("%d of %d claims in less than %d seconds looked from the bottom", looks, claims, seconds+1)
	}
	return most
}

// atTheBottom reports whether one of the latest statements began at the bottom.
func (m *meter) atTheBottom() bool {
	return slices.ContainsFunc(m.seen, func(s measured) bool {
		return slices.Contains(s.args, any(int64(math.MinInt64)))
	})
}

// The same of 2,000 batches that are worked on in turn, each with dead entries of its own.
func TestPagesOfAClaimFromOneOfManyBatches(t *testing.T) {
	t.Parallel()
	const batches, dead = 2_000, 100_000
	b := setup(t)
	clean := b.ofMany(t, batches)
	b.holdSnapshot(t)
	b.Exec(t, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		SELECT 1, 1, 1, 1, i % $2, '' FROM generate_series(1, $1::integer) AS i`, dead, batches)
	b.Exec(t, "UPDATE tasks SET status = 2, updated_at = updated_at + 1 WHERE status = 0")
	b.Exec(t, "VACUUM (ANALYZE) tasks")
	m := newMeter(t, b, customPlan)
	full := m.of(func() { claim(t, taskstore.New(m), nth(0), 0) })
	pages := b.ofMany(t, batches)
	t.Logf("%d pages, clean %d, from the bottom %d", pages, clean, full)
	if full < 10*clean {
		t.Errorf("a claim that knows nothing touches %d pages, %d on a clean table: nothing here could fail", full, clean)
	}
	atMost(t, "a claim of one of many batches", pages-2, clean) // a taller index
}

func nth(i int) taskstore.Filter {
	return taskstore.ByBatch(taskstore.Batch{IntegrationID: 1, ClientID: 1, TemplateID: int64(i)})
}

// ofMany returns the most pages that the second of two claims of a batch touches, the first of which may look from the
// bottom, as nobody has for a second. In between all batches have their turn.
func (b *table) ofMany(t *testing.T, batches int) (most int64) {
	t.Helper()
	const every = 50
	m := newMeter(t, b, customPlan)
	s := taskstore.New(m)
	turn := func(sampled func(i int)) {
		for i := range batches {
			m.off = true
			claim(t, s, nth(i), 0)
			if m.off = false; i%every == 0 {
				sampled(i)
			}
		}
	}
	low := batches
	for began := time.Now(); low > 0 && time.Since(began) < time.Minute; { // until nothing lags
		low, most = 0, 0
		turn(func(i int) {
			most = max(most, m.of(func() { claim(t, s, nth(i), 0) }))
			if m.atTheBottom() {
				low++
			}
		})
	}
	if low > 0 {
		t.Errorf("%d of %d batches are looked at from the bottom twice in a row", low, batches/every)
	}
	return most
}
