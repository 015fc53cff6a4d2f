package main

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestAdoptShowsFirstAndRecordsWithYes(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	dbtest.Exec(t, url, `CREATE TABLE tasks (id bigserial PRIMARY KEY)`)
	before := dbtest.Contents(t, url)
	refused := parse(t, must(t, exitDrift, url, "adopt", "--yes", "--output", "json"))
	blocks := 0
	for _, f := range refused.Findings {
		if f.Severity == catalog.Block {
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
	must(t, exitDone, url, "adopt")
	if dbtest.Contents(t, url) != before {
		t.Error("adopt without --yes changed something")
	}
	must(t, exitDone, url, "adopt", "--yes")
	if again := must(t, exitDone, url, "adopt", "--yes"); !strings.Contains(again.stdout, "nothing to do") {
		t.Errorf("a second adopt says %q", again.stdout)
	}
	must(t, exitDone, url, "up")
	must(t, exitDone, url, "verify")
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
