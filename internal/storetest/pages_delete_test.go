package storetest

import (
	"testing"

	"github.com/tasklane/tasks/taskstore"
)

// What DeleteFinished has deleted, and an old snapshot keeps, costs the calls that follow nothing: each
// goes on where the one before stopped.
func TestPagesOfDeleteFinished(t *testing.T) {
	t.Parallel()
	for _, planMode := range []string{customPlan, genericPlan} {
		t.Run(planMode, func(t *testing.T) {
			t.Parallel()
			const calls, limit = 30, 1000
			b := setup(t)
			b.finished(t, calls*limit)
			b.pending(t, 2*limit)
			b.holdSnapshot(t)
			m := newMeter(t, b.pool, planMode)
			store := taskstore.New(m)

			var first, last int64
			for i := range calls {
				last = m.of(func() { deleteFinished(t, store, limit, limit) })
				if i == 0 {
					first = last
				}
				if 2*last > 3*first {
					t.Errorf("call %d touches %d pages, the first one %d", i, last, first)
				}
			}
			t.Logf("pages: the first call %d, the last %d", first, last)

			// A new Store knows nothing of that, and shows that the dead entries are there.
			afresh := newMeter(t, b.pool, planMode)
			dead := afresh.of(func() { deleteFinished(t, taskstore.New(afresh), limit, 0) })
			onward := m.of(func() { deleteFinished(t, store, limit, 0) })
			t.Logf("pages: a call that finds nothing %d, one that begins at the bottom %d", onward, dead)
			if dead < 10*onward {
				t.Errorf("a scan of the dead head touches %d pages, a call that goes on %d", dead, onward)
			}
		})
	}
}
