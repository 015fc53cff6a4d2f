package pages

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A create without a key is one statement that costs what a plain INSERT costs, and does not look at the keys.
func TestPagesOfACreateWithoutAKey(t *testing.T) {
	t.Parallel()
	const many = 1_000
	b := setup(t)
	b.finished(t, 10_000)
	m := newMeter(t, b, genericPlan)
	s := taskstore.New(m)
	for what, c := range map[string]struct {
		create func() error
		plain  string
		rows   int
	}{
		"Create": {
			func() error {
				_, err := s.Create(t.Context(), storetest.NewTask(1))
				return err
			},
			`INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
			SELECT i * 10 + 1, i * 10 + 2, i * 10 + 3, i * 10 + 4, i * 10 + 5, '{"n": 1}'
			FROM generate_series(1::bigint, $1::integer) AS i RETURNING *`, 1,
		},
		"CreateMany": {
			func() error {
				_, err := s.CreateMany(t.Context(), storetest.NewTasks(many))
				return err
			},
			`INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
			SELECT i * 10 + 1, i * 10 + 2, i * 10 + 3, i * 10 + 4, i * 10 + 5, '{"n": ' || i || '}'
			FROM generate_series(0::bigint, $1::integer - 1) AS i RETURNING id`, many,
		},
	} {
		m.explain(c.plain, c.rows) // fills the session's caches of the catalog
		plain := m.explain(c.plain, c.rows).pages
		pages := m.of(func() {
			if err := c.create(); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %d pages, a plain INSERT %d", what, pages, plain)
		if len(m.seen) != 1 || 10*pages > 11*plain {
			t.Errorf("%s: %d statements, %d pages, a plain INSERT touches %d", what, len(m.seen), pages, plain)
		}
		if plan := m.last().plan.Text; strings.Contains(plan, "task_keys") {
			t.Errorf("%s reads the keys: %s", what, plan)
		}
	}
}
