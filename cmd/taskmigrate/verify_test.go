package main

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestVerifyExitsByDrift(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up")
	must(t, exitDone, url, "verify")
	dbtest.Exec(t, url, `ALTER TABLE tasks ALTER COLUMN created_at DROP DEFAULT`)
	got := parse(t, must(t, exitDrift, url, "verify", "--output", "json"))
	if len(got.Findings) != 1 || got.Findings[0].Object != "tasks.created_at" ||
		!strings.Contains(got.Findings[0].Cause, "GORM AutoMigrate drops this default") {
		t.Errorf("%+v", got.Findings)
	}
}

// verify says what it compared. To compare nothing is no success.
func TestVerifySaysWhatItCompared(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	empty := must(t, exitDrift, url, "verify").stdout
	if !strings.HasPrefix(empty, "block") || !strings.Contains(empty, "no migration applied") {
		t.Errorf("of an empty database: %q", empty)
	}
	must(t, exitDone, url, "up", "--to", "3")
	if got := must(t, exitDone, url, "verify"); !strings.HasPrefix(got.stdout, "as it should be with 3 of ") {
		t.Errorf("of version 3: %q", got.stdout)
	}
}
