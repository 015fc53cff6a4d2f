package migrate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/connect"
	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// ownedTable is the document's table with an unsound row and a policy that hides it from whom it binds. The owner, as
// whom the second bundle works, is no superuser.
func ownedTable(t *testing.T) (super, owner *bundle, role string) {
	t.Helper()
	super = setup(t)
	dbtest.Exec(t, super.url, document.DDL, insertTask, `UPDATE tasks SET updated_at = 1721818960`,
		`CREATE POLICY mine ON tasks USING (user_id = 0)`)
	role, url := withRole(t, super.url)
	dbtest.Exec(t, super.url, `GRANT CREATE ON SCHEMA public TO `+role, `ALTER TABLE tasks OWNER TO `+role)
	return super, setupWith(t, url, func(*Options) {}), role
}

const forceRowSecurity = `ALTER TABLE tasks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`

func TestARoleThatRowSecurityDoesNotBindMigratesAllRows(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"the owner":                 `ALTER TABLE tasks ENABLE ROW LEVEL SECURITY`,
		"an owner that bypasses it": forceRowSecurity + `; ALTER ROLE %s BYPASSRLS`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			super, owner, role := ownedTable(t)
			dbtest.Exec(t, super.url, strings.ReplaceAll(change, "%s", role))
			if _, err := owner.Adopt(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			owner.finish(t)
			if n := dbtest.Value[int](t, super.url, unsoundRows); n > 0 {
				t.Errorf("%d rows are unsound", n)
			}
		})
	}
}

// A role that cannot see all rows is told so before anything is changed.
func TestARoleThatCannotSeeAllRowsIsRefused(t *testing.T) {
	t.Parallel()
	super, owner, role := ownedTable(t)
	dbtest.Exec(t, super.url, forceRowSecurity)
	before := dbtest.Contents(t, super.url)
	adoption, err := owner.Adopt(t.Context(), true)
	_ = wantKind(t, err, Drift)
	if !strings.Contains(fmt.Sprint(adoption.Findings), "row-level security hides rows") {
		t.Errorf("adopt finds %+v", adoption.Findings)
	}
	if review, err := owner.Review(t.Context()); err != nil || review.Sound {
		t.Errorf("report: %v, sound %v", err, review.Sound)
	}
	if dbtest.Contents(t, super.url) != before {
		t.Error("something was changed")
	}

	if _, err := super.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, super.url, `ALTER TABLE tasks_goose_version OWNER TO `+role)
	before = dbtest.Contents(t, super.url)
	_, err = owner.Up(t.Context(), Newest)
	if failure := wantKind(t, err, Failed); !strings.Contains(failure.Message, "row-level security binds") {
		t.Errorf("up says %q", failure.Message)
	}
	if dbtest.Contents(t, super.url) != before {
		t.Error("something was changed")
	}
}

// The back-fill asks for itself, too: plain goose does not check the rights first.
func TestTheBackfillStopsWhereItCannotSeeAllRows(t *testing.T) {
	t.Parallel()
	super, owner, _ := ownedTable(t)
	if _, err := owner.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Up(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, super.url, forceRowSecurity)
	_, err := dbtest.Connect(t, owner.url).Exec(t.Context(), backfillBlock(t))
	if connect.SQLState(err) != "42501" || !strings.Contains(err.Error(), "row-level security hides rows of tasks") {
		t.Errorf("the back-fill says %v", err)
	}
	if n := dbtest.Value[int](t, super.url, unsoundRows); n != 1 {
		t.Errorf("%d rows are as they were, want 1", n)
	}
}
