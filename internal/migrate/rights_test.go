package migrate

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// withRole makes a role that is the current one of each session of the URL that it returns.
func withRole(t *testing.T, url string) (role, address string) {
	t.Helper()
	role = "taskmigrate_" + strings.ToLower(rand.Text()[:8])
	dbtest.Exec(t, url, `CREATE ROLE `+role)
	t.Cleanup(func() { dbtest.ExecAtEnd(t, url, `DROP OWNED BY `+role, `DROP ROLE `+role) })
	return role, dbtest.With(t, url, "options", "-c role="+role)
}

func TestWhatTheRoleLacksIsOneListBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	role, url := withRole(t, b.url)
	dbtest.Exec(t, b.url, `CREATE SCHEMA app`, `GRANT USAGE ON SCHEMA app TO `+role)
	inApp := dbtest.With(t, b.url, "search_path", "app")
	dbtest.Exec(t, inApp, document.DDL, `GRANT SELECT ON tasks TO `+role)
	before := dbtest.CatalogOf(t, b.url, "app")
	limited := setupWith(t, dbtest.With(t, url, "search_path", "app"), func(*Options) {})
	plan, _, err := limited.Plan(t.Context(), Newest)
	if err != nil || len(plan.Lacks) != 3 || len(plan.Statements) == 0 {
		t.Errorf("plan: %v, lacks %q, %d statements", err, plan.Lacks, len(plan.Statements))
	}
	_, adopt := limited.Adopt(t.Context(), true)
	owner := setupWith(t, inApp, func(*Options) {})
	if dbtest.CatalogOf(t, b.url, "app") != before {
		t.Error("adopt changed something")
	}
	if _, err := owner.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, inApp, `GRANT SELECT ON tasks_goose_version TO `+role)
	before = dbtest.CatalogOf(t, b.url, "app")
	_, up := limited.Up(t.Context(), Newest)
	_, down := limited.Down(t.Context(), DownOptions{Confirm: dbtest.Name(t, b.url), AllowDataLoss: true})
	for _, err := range []error{adopt, up, down} {
		failure := wantKind(t, err, Failed)
		for _, part := range []string{role, "ownership of table tasks ", "CREATE on schema app", "pg_read_all_stats"} {
			if !strings.Contains(failure.Message, part) {
				t.Errorf("no %q in %q", part, failure.Message)
			}
		}
	}
	if dbtest.CatalogOf(t, b.url, "app") != before {
		t.Error("something was changed")
	}
	dbtest.Exec(t, inApp, `GRANT CREATE ON SCHEMA app TO `+role, `ALTER TABLE tasks OWNER TO `+role,
		`ALTER TABLE tasks_goose_version OWNER TO `+role)
	limited.finish(t)
	limited.says(t, "can do without", "pg_read_all_stats")
}

// The role that lacks the right is the current one, whoever logged in. What the hint grants is enough to look.
func TestASchemaThatTheRoleMayNotUseIsRefused(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	dbtest.Exec(t, url, `CREATE SCHEMA "App"`)
	role, address := withRole(t, url)
	limited := setupWith(t, address, func(o *Options) { o.Schema = "App" })
	_, _, err := limited.Status(t.Context())
	failure := wantKind(t, err, Failed)
	if !strings.Contains(failure.Message, role) {
		t.Errorf("says %q", failure.Message)
	}
	dbtest.Exec(t, url, failure.Hint)
	if _, _, err := limited.Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// Where nothing can be written, that is said before anything is tried. The commands that read go on working.
func TestWhereNothingCanBeWrittenThatIsSaidFirst(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	dbtest.Exec(t, b.url, `ALTER DATABASE `+dbtest.Name(t, b.url)+` SET default_transaction_read_only = on`)
	_, up := b.Up(t.Context(), Newest)
	_, down := b.Down(t.Context(), DownOptions{Confirm: dbtest.Name(t, b.url), AllowDataLoss: true})
	for _, err := range []error{up, down} {
		failure := wantKind(t, err, Failed)
		if failure.SQLState != "25006" || !strings.Contains(failure.Message, "default_transaction_read_only") ||
			!strings.Contains(failure.Message, "nothing was changed") || failure.Resumable {
			t.Errorf("%+v", failure)
		}
	}
	if _, err := b.Review(t.Context()); err != nil {
		t.Error(err)
	}
	writing := dbtest.With(t, b.url, "options", "-c default_transaction_read_only=off")
	setupWith(t, writing, func(*Options) {}).finish(t)
}
