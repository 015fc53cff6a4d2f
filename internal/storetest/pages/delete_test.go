package pages

import (
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Rows that DeleteFinished has deleted and an old snapshot keeps cost the calls that follow nothing: each goes on
// where the one before stopped.
func TestPagesOfDeleteFinished(t *testing.T) {
	t.Parallel()
	for _, planMode := range []string{customPlan, genericPlan} {
		t.Run(planMode, func(t *testing.T) {
			t.Parallel()
			const calls, limit = 30, 1000
			b := setup(t)
			afresh := func() int64 { // of a Store that knows nothing, on a table without old tasks
				m := newMeter(t, b, planMode)
				return m.of(func() { storetest.DeleteFinished(t, taskstore.New(m), limit, 0) })
			}
			b.pending(t, 2*limit)
			alone := afresh()
			b.Exec(t, "TRUNCATE tasks")

			b.finished(t, calls*limit)
			b.pending(t, 2*limit)
			b.holdSnapshot(t)
			m := newMeter(t, b, planMode)
			store := taskstore.New(m)

			var first, last int64
			for i := range calls {
				last = m.of(func() { storetest.DeleteFinished(t, store, limit, limit) })
				if i == 0 {
					first = last
				}
				if 2*last > 3*first {
					t.Errorf("call %d touches %d pages, the first one %d", i, last, first)
				}
			}
			t.Logf("pages: the first call %d, the last %d", first, last)

			dead := afresh()
			t.Logf("pages: a call that finds nothing %d, beyond the dead head %d", alone, dead)
			if dead < 3*alone {
				t.Error("there is no dead head: nothing here could fail")
			}
		})
	}
}
