package main

import (
	"context"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestStatusCheckTellsPendingByExitCode(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "status")
	must(t, exitPending, url, "status", "--check")
	must(t, exitDone, url, "up", "--to", "2")
	must(t, exitPending, url, "status", "--check")
	must(t, exitDone, url, "up")
	must(t, exitDone, url, "status", "--check")
}

func TestStatusOnlyReads(t *testing.T) {
	t.Parallel()
	for _, migrated := range []bool{false, true} {
		url := dbtest.New(t)
		if migrated {
			must(t, exitDone, url, "up")
		}
		before := dbtest.Contents(t, url)
		readOnly := dbtest.With(t, url, "options", "-c default_transaction_read_only=on")
		for range 2 {
			must(t, exitDone, readOnly, "status")
		}
		if dbtest.Contents(t, url) != before {
			t.Errorf("migrated %v: status changed something", migrated)
		}
	}
}

func TestStatusNeedsNoLock(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up")
	plan := parse(t, must(t, exitDone, url, "plan", "--output", "json")).Plan
	conn := dbtest.Connect(t, url)
	if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, plan.RunLock); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	must(t, exitDone, url, "status", "--check")
}

func TestStatusShowsWhatTheBinaryDoesNotKnow(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up")
	dbtest.Exec(t, url, `INSERT INTO tasks_goose_version (version_id, is_applied) VALUES (9000, true)`)
	must(t, exitConflict, url, "status", "--check")
	got := parse(t, must(t, exitDone, url, "status", "--output", "json"))
	if unknown := got.inState(migrate.StateUnknown); len(unknown) != 1 || unknown[0] != 9000 {
		t.Errorf("unknown %v, want 9000", unknown)
	}
}
