//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// killRows is the size of the table under SIGKILL. TASKMIGRATE_TEST_KILL_ROWS makes it larger.
func killRows(t *testing.T) int {
	t.Helper()
	given := os.Getenv("TASKMIGRATE_TEST_KILL_ROWS")
	if given == "" {
		return 20_000
	}
	n, err := strconv.Atoi(given)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// production is a table that somebody else created, adopted, with seconds in every fifth row.
func production(t *testing.T, rows int) string {
	t.Helper()
	url := dbtest.New(t)
	fill(t, url, rows)
	return url
}

// fill makes that table in an empty database.
func fill(t *testing.T, url string, rows int) {
	t.Helper()
	dbtest.Exec(t, url,
		`CREATE TABLE tasks (
    id bigserial PRIMARY KEY, integration_id bigint NOT NULL, user_id bigint NOT NULL, client_id bigint NOT NULL,
    account_id bigint NOT NULL, template_id bigint NOT NULL, argument text NOT NULL, status integer NOT NULL DEFAULT 0,
    created_at bigint, updated_at bigint)`,
		`CREATE INDEX idx_integration_id ON tasks (integration_id)`,
		`CREATE INDEX idx_status ON tasks (status)`,
		fmt.Sprintf(`
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status,
    created_at, updated_at)
SELECT i %% 97, i %% 1009, i %% 31, i %% 5, i %% 11, '{"project":"p"}', i %% 4, at, at
FROM generate_series(1, %d) AS i,
    LATERAL (SELECT CASE i %% 5 WHEN 0 THEN 1721818960 ELSE 1721818960936 END AS at) AS times`, rows),
		`ANALYZE tasks`)
	must(t, exitDone, url, "adopt", "--yes")
}

// Killed at any moment, the next up goes on and ends right.
func TestUpGoesOnAfterSIGKILL(t *testing.T) {
	t.Parallel()
	original := production(t, killRows(t))
	const sum = `
SELECT count(*) || ' ' || sum(hashtext(concat_ws(' ', id, integration_id, user_id, argument, status))) FROM tasks`
	rows := dbtest.Value[string](t, original, sum)

	start := time.Now()
	whole := dbtest.Clone(t, original)
	must(t, exitDone, whole, "up")
	duration := time.Since(start)

	for n := range 20 {
		t.Run(fmt.Sprint("kill ", n), func(t *testing.T) {
			t.Parallel()
			url := dbtest.Clone(t, original)
			after := rand.N(duration)
			moment, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			cmd := exec.CommandContext(moment, binary, "up") // SIGKILL when the moment has come
			cmd.Env = []string{"TASKMIGRATE_DATABASE_URL=" + url}
			t.Logf("SIGKILL after %v of the %v of a whole run, which ended with %v", after, duration, cmd.Run())
			must(t, exitDone, url, "up")
			if got := must(t, exitDone, url, "verify"); !strings.HasPrefix(got.stdout, "as it should be with ") {
				t.Errorf("verify found %s", got.stdout)
			}
			if got := dbtest.Value[string](t, url, sum); got != rows {
				t.Errorf("rows are %s, were %s", got, rows)
			}
		})
	}
}

// SIGTERM stops the statement on the server, frees the run lock, and says how to go on.
func TestSIGTERMLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	url := production(t, 100)
	blocker := dbtest.Connect(t, url)
	tx, err := blocker.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `SELECT FROM tasks`); err != nil {
		t.Fatal(err)
	}

	cmd, stdout, stderr := command(t, url, "up", "--output", "json")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const building = `SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'taskmigrate'
    AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'`
	dbtest.Eventually(t, func() string {
		if dbtest.Value[int](t, url, building) == 0 {
			return "no index is being built"
		}
		return ""
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if n := dbtest.Value[int](t, url, building); n != 0 {
		t.Error("the statement goes on")
	}
	const locks = `SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	if n := dbtest.Value[int](t, url, locks); n != 0 {
		t.Error("the run lock is held")
	}
	got := parse(t, outcome{exitCode(cmd.ProcessState.ExitCode()), stdout.String(), stderr.String()})
	if got.ExitCode != exitHalfDone || got.Error.File != "00003_add_idx_task.sql" ||
		!strings.Contains(got.Error.Hint, "`taskmigrate up`") {
		t.Errorf("exit %d, %+v", got.ExitCode, got.Error)
	}
	if applied := got.inState(migrate.StateApplied); len(applied) != 2 {
		t.Errorf("applied %v, want 1 and 2", applied)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	must(t, exitDone, url, "up")
	must(t, exitDone, url, "verify")
}

// The server itself crashes and recovers in the middle of a build: one of its processes is killed, so
// that it ends all others and starts over. A server of the test's own, since that ends every session.
func TestUpGoesOnAfterServerRestart(t *testing.T) {
	t.Parallel()
	server, err := pgserver.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if server.Source != "local" {
		t.Skip("the server's processes are not this machine's: it is from ", server.Source)
	}
	url, _, err := server.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, url, 1000)
	blocker := dbtest.Connect(t, url)
	tx, err := blocker.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM tasks`); err != nil { // the build waits for it
		t.Fatal(err)
	}
	const checkpointer = `SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'` // anew after a crash
	started := dbtest.Value[int](t, url, checkpointer)

	cmd, stdout, stderr := command(t, url, "up", "--output", "json")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	dbtest.Eventually(t, func() string {
		pid = dbtest.Value[int](t, url, `
SELECT coalesce(max(pid), 0) FROM pg_stat_activity
WHERE application_name = 'taskmigrate' AND query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'`)
		if pid == 0 {
			return "no index is being built"
		}
		return ""
	})
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	got := parse(t, outcome{exitCode(cmd.ProcessState.ExitCode()), stdout.String(), stderr.String()})
	if got.ExitCode != exitHalfDone || !strings.Contains(got.Error.Hint, "`taskmigrate up`") {
		t.Errorf("exit %d, %+v", got.ExitCode, got.Error)
	}
	must(t, exitDone, url, "up", "--wait", "1m") // the server may be in recovery still
	must(t, exitDone, url, "verify")
	if now := dbtest.Value[int](t, url, checkpointer); now == started {
		t.Error("the server did not restart")
	}
	if n := dbtest.Value[int](t, url, `SELECT count(*) FROM tasks`); n != 1000 {
		t.Errorf("%d rows, want 1000", n)
	}
}
