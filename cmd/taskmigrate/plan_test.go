package main

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestPlanIsSQLAndJSON(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up", "--to", "2")
	before := dbtest.Contents(t, url)
	text := must(t, exitDone, url, "plan", "--to", "3").stdout
	for _, part := range []string{
		"-- 00003_add_idx_task.sql, without a transaction",
		"-- lock: SHARE UPDATE EXCLUSIVE on tasks; blocks no read and no write",
		"CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_task ON tasks (integration_id, client_id, template_id);",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in %s", part, text)
		}
	}
	got := parse(t, must(t, exitDone, url, "plan", "--to", "3", "--output", "json"))
	if got.Plan == nil || len(got.Plan.Statements) != 5 || got.Plan.Statements[2].Number != 3 {
		t.Errorf("%+v", got.Plan)
	}
	if dbtest.Contents(t, url) != before {
		t.Error("plan changed something")
	}
}
