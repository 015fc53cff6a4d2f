package migrate

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// What plan lists, sent by hand, does what up does; and listing it does nothing.
func TestPlanListsExactlyWhatUpSends(t *testing.T) {
	t.Parallel()
	for _, adopted := range []bool{false, true} {
		t.Run(fmt.Sprintf("adopted %v", adopted), func(t *testing.T) {
			t.Parallel()
			byHand, byUp := setup(t), setup(t)
			for _, b := range []*bundle{byHand, byUp} {
				if !adopted {
					continue
				}
				dbtest.Exec(t, b.url, document.DDL)
				dbtest.Exec(t, b.url, insertTask)
				if _, err := b.Adopt(t.Context(), true); err != nil {
					t.Fatal(err)
				}
			}
			before := dbtest.Contents(t, byHand.url)
			plan, _, err := byHand.Plan(t.Context(), Newest)
			if err != nil {
				t.Fatal(err)
			}
			if dbtest.Contents(t, byHand.url) != before {
				t.Fatal("plan changed something")
			}
			conn := dbtest.Connect(t, byHand.url)
			for _, s := range plan.Statements {
				if _, err := conn.Exec(t.Context(), s.SQL, s.Args...); err != nil {
					t.Fatalf("%s: %v", s.SQL, err)
				}
			}
			if _, err := byUp.Up(t.Context(), Newest); err != nil {
				t.Fatal(err)
			}
			if got, want := dbtest.Catalog(t, byHand.url), dbtest.Catalog(t, byUp.url); got != want {
				t.Errorf("by hand:\n%s\nby up:\n%s", got, want)
			}
			const history = `
SELECT string_agg(version_id || ' ' || coalesce(sha256, ''), ',' ORDER BY id) FROM tasks_goose_version`
			got, want := dbtest.Value[string](t, byHand.url, history), dbtest.Value[string](t, byUp.url, history)
			if got != want {
				t.Errorf("history by hand %s, by up %s", got, want)
			}
		})
	}
}

func TestPlanStopsAtToAndIsEmptyAtTheEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	plan, _, err := b.Plan(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range plan.Statements {
		if s.File != "00003_add_idx_task.sql" || s.Transaction {
			t.Errorf("%+v", s)
		}
	}
	if len(plan.Statements) != 5 { // set aside, drop, build, check, record
		t.Errorf("%d statements", len(plan.Statements))
	}
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	if plan, _, err := b.Plan(t.Context(), Newest); err != nil || len(plan.Statements) > 0 {
		t.Errorf("%v, %d statements with nothing pending", err, len(plan.Statements))
	}
}

func TestPlanShowsTheTableAndWhoIsInTheWay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, b.url, insertTask, `ANALYZE tasks`)
	conn := dbtest.Connect(t, dbtest.With(t, b.url, "application_name", "slow-report"))
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM tasks`); err != nil {
		t.Fatal(err)
	}
	plan, _, err := b.Plan(t.Context(), Newest)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Rows != 1 || plan.Bytes == 0 ||
		len(plan.InTheWay) != 1 || !strings.Contains(plan.InTheWay[0], "slow-report") {
		t.Errorf("rows %d, bytes %d, in the way %q", plan.Rows, plan.Bytes, plan.InTheWay)
	}
}
