package pages

import (
	"testing"

	"github.com/tasklane/tasks/taskstore"
)

// A claim costs its rows, whatever the backlog of others is: one integration and template has 200,000 pending tasks,
// before 49 integrations with 20 each and a template with 5.
func TestPagesOfAClaimBesideABacklogOfOthers(t *testing.T) {
	t.Parallel()
	const backlog, others, each, rare = 200_000, 49, 20, 5
	for _, planMode := range []string{customPlan, genericPlan} {
		t.Run(planMode, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			pending := func(n, integration, template int) {
				t.Helper()
				b.Exec(t, `
					INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
					SELECT $2, i, 1, i, $3, '{}' FROM generate_series(1, $1::integer) AS i`, n, integration, template)
			}
			pending(backlog, 1, 1)
			for i := range others {
				pending(each, i+2, 1)
			}
			pending(rare, 1, 2)
			b.Exec(t, "VACUUM (ANALYZE) tasks")
			m := newMeter(t, b, planMode)
			store := taskstore.New(m)

			// What 40 pages a task allow: an index entry to find it, and ten to change its status.
			check := func(what string, want int, claim func() ([]taskstore.Task, error)) {
				t.Helper()
				var n int
				pages := m.of(func() {
					ts, err := claim()
					if err != nil {
						t.Fatal(err)
					}
					n = len(ts)
				})
				t.Logf("%s: %d tasks, %d pages", what, n, pages)
				if n != want || pages > int64(40*want+200) {
					t.Errorf("%s: claimed %d tasks, want %d, and touched %d pages", what, n, want, pages)
				}
			}
			ctx := t.Context()
			check("a rare template", rare, func() ([]taskstore.Task, error) {
				return store.ClaimBy(ctx, taskstore.ByTemplate(2), 50)
			})
			check("a small integration", each, func() ([]taskstore.Task, error) {
				return store.ClaimBy(ctx, taskstore.ByIntegration(7), 50)
			})
			check("a small batch", each, func() ([]taskstore.Task, error) {
				return store.ClaimBy(ctx, taskstore.ByBatch(taskstore.Batch{IntegrationID: 8, ClientID: 1, TemplateID: 1}), 50)
			})
			check("a template that is gone", 0, func() ([]taskstore.Task, error) {
				return store.ClaimBy(ctx, taskstore.ByTemplate(99), 50)
			})
			check("all in turn", 50, func() ([]taskstore.Task, error) { return store.ClaimFair(ctx, 50) })
			check("the large one", 50, func() ([]taskstore.Task, error) {
				return store.ClaimBy(ctx, taskstore.ByIntegration(1), 50)
			})
		})
	}
}
