package main

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestAdoptShowsFirstAndRecordsWithYes(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	dbtest.Exec(t, url, `CREATE TABLE tasks (id bigserial PRIMARY KEY)`)
	before := dbtest.Contents(t, url)
	refused := parse(t, must(t, migrate.ExitDrift, url, "adopt", "--yes", "--output", "json"))
	blocks := 0
	for _, f := range refused.Findings {
		if f.Severity == migrate.SeverityBlock {
			blocks++
		}
	}
	if blocks != 9 || refused.Error == nil {
		t.Errorf("%d missing columns found, want 9: %+v", blocks, refused)
	}
	if dbtest.Contents(t, url) != before {
		t.Error("a refused adopt changed something")
	}

	url = productionTable(t)
	before = dbtest.Contents(t, url)
	must(t, migrate.ExitDone, url, "adopt")
	if dbtest.Contents(t, url) != before {
		t.Error("adopt without --yes changed something")
	}
	must(t, migrate.ExitDone, url, "adopt", "--yes")
	if again := must(t, migrate.ExitDone, url, "adopt", "--yes"); !strings.Contains(again.stdout, "nothing to do") {
		t.Errorf("a second adopt says %q", again.stdout)
	}
	must(t, migrate.ExitDone, url, "up")
	must(t, migrate.ExitDone, url, "verify")
}

// productionTable is a table in need of much repair.
func productionTable(t *testing.T) string {
	t.Helper()
	url := dbtest.New(t)
	dbtest.Exec(t, url, `CREATE TABLE tasks (
    id bigserial PRIMARY KEY, integration_id bigint, user_id bigint, client_id bigint, account_id bigint,
    template_id bigint, argument text, status integer, created_at bigint, updated_at bigint)`)
	return url
}

func TestVerifyExitsByDrift(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, migrate.ExitDone, url, "up")
	must(t, migrate.ExitDone, url, "verify")
	dbtest.Exec(t, url, `ALTER TABLE tasks ALTER COLUMN created_at DROP DEFAULT`)
	got := parse(t, must(t, migrate.ExitDrift, url, "verify", "--output", "json"))
	if len(got.Findings) != 1 || got.Findings[0].Object != "tasks.created_at" || !strings.Contains(got.Findings[0].Cause, "GORM AutoMigrate drops this default") {
		t.Errorf("%+v", got.Findings)
	}
}

func TestPlanIsSQLAndJSON(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, migrate.ExitDone, url, "up", "--to", "2")
	before := dbtest.Contents(t, url)
	text := must(t, migrate.ExitDone, url, "plan", "--to", "3").stdout
	for _, part := range []string{
		"-- 00003_add_idx_task.sql, without a transaction",
		"-- lock: SHARE UPDATE EXCLUSIVE on tasks; blocks no read and no write",
		"CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_task ON tasks (integration_id, client_id, template_id);",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %s", part, text)
		}
	}
	got := parse(t, must(t, migrate.ExitDone, url, "plan", "--to", "3", "--output", "json"))
	if got.Plan == nil || len(got.Plan.Statements) != 5 || got.Plan.Statements[2].Number != 3 {
		t.Errorf("%+v", got.Plan)
	}
	if dbtest.Contents(t, url) != before {
		t.Error("plan changed something")
	}
}
