package migrate

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// Each lock that plan claims is the strongest that the server then reports.
func TestPlanTellsTheLocksThatTheServerTakes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plan, _, err := b.Plan(t.Context(), Newest)
	if err != nil {
		t.Fatal(err)
	}
	conn, witness := dbtest.Connect(t, b.url), dbtest.Connect(t, b.url)
	held := 0 // in the transaction so far
	for _, s := range plan.Statements {
		want, table := claimed(s.Lock)
		strongest := func() int { return strongestLock(t, conn, conn.PgConn().PID(), table) }
		var got int
		switch {
		case s.Number == 0:
			send(t, conn, s.SQL, s.Args...)
			held = 0
			continue
		case s.Transaction:
			send(t, conn, s.SQL)
			held = max(held, want)
			got, want = strongest(), held
		case strings.HasPrefix(s.SQL, "CREATE INDEX CONCURRENTLY"):
			send(t, conn, "DROP INDEX IF EXISTS "+strings.Fields(s.SQL)[6])
			got = whileBlocked(t, b.url, conn, witness, s.SQL)
		case strings.Contains(s.Lock, "commit every"):
			writeOldRow(t, b.url)
			got = whileBlockedBy(t, b.url, "LOCK TABLE tasks IN SHARE MODE", conn, witness, s.SQL)
		case strings.Contains(s.Lock, "once nobody else"): // it commits, too
			got = whileBlockedBy(t, b.url, "LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE", conn, witness, s.SQL)
		case strings.HasPrefix(s.SQL, "DROP INDEX CONCURRENTLY"):
			leftover := strings.TrimSuffix(strings.Fields(s.SQL)[5], ";")
			send(t, conn, "CREATE INDEX "+leftover+" ON tasks (argument)")
			got = whileBlocked(t, b.url, conn, witness, s.SQL)
		default: // a check of the catalog
			send(t, conn, "BEGIN")
			send(t, conn, s.SQL)
			got, want = strongest(), min(want, rank("AccessShareLock"))
			send(t, conn, "COMMIT")
			if got == 0 { // the index's name alone was looked up
				want = 0
			}
		}
		if got != want {
			t.Errorf("%s, statement %d: claimed %q, taken %d", s.File, s.Number, s.Lock, got)
		}
	}
}

// whileBlocked runs a statement outside a transaction against an unfinished write, and returns the lock
// it holds or waits for in the meantime.
func whileBlocked(t *testing.T, url string, conn, witness *pgx.Conn, sql string) int {
	t.Helper()
	writeOldRow(t, url)
	return whileBlockedBy(t, url, "UPDATE tasks SET argument = ''", conn, witness, sql)
}

// writeOldRow leaves a row as from before the guard.
func writeOldRow(t *testing.T, url string) {
	t.Helper()
	writer := dbtest.Connect(t, url)
	send(t, writer, "SET session_replication_role = replica")
	send(t, writer, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at)
		SELECT 1, 2, 3, 4, 5, '{}', 1721818960 WHERE NOT EXISTS (SELECT FROM tasks)`)
	send(t, writer, "UPDATE tasks SET created_at = 1721818960")
}

// whileBlockedBy does so against a statement of another transaction.
func whileBlockedBy(t *testing.T, url, blocker string, conn, witness *pgx.Conn, sql string) int {
	t.Helper()
	other := dbtest.Connect(t, url)
	send(t, other, "BEGIN")
	send(t, other, blocker)
	pid := conn.PgConn().PID()
	done := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.WithoutCancel(t.Context()), sql)
		done <- err
	}()
	dbtest.Eventually(t, func() string {
		var blocked bool
		const isBlocked = `SELECT cardinality(pg_blocking_pids($1)) > 0`
		if err := witness.QueryRow(t.Context(), isBlocked, int32(pid)).Scan(&blocked); err != nil || !blocked {
			return fmt.Sprint("nobody blocks ", sql, err)
		}
		return ""
	})
	lock := strongestLock(t, witness, pid, "tasks")
	send(t, other, "ROLLBACK")
	if err := <-done; err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return lock
}

var ranks = []string{
	"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock",
	"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock",
}

// rank is a lock's strength; 0: no lock.
func rank(mode string) int { return slices.Index(ranks, mode) + 1 }

// strongestLock is the rank of the strongest lock that a backend has or waits for on a table.
func strongestLock(t *testing.T, conn *pgx.Conn, pid uint32, table string) int {
	t.Helper()
	rows, err := conn.Query(t.Context(), `
SELECT mode FROM pg_locks WHERE pid = $1 AND relation = to_regclass($2) AND locktype = 'relation'`, int32(pid), table)
	if err != nil {
		t.Fatal(err)
	}
	modes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	strongest := 0
	for _, mode := range modes {
		strongest = max(strongest, rank(mode))
	}
	return strongest
}

var claim = regexp.MustCompile(`^([A-Z ]+) on (?:the new table )?(\w+)`)

// claimed reads what plan says of a lock: its rank and the table. What is said of the catalog is looked for
// on tasks.
func claimed(lock string) (mode int, table string) {
	said := claim.FindStringSubmatch(lock)
	if said == nil {
		return 0, "tasks"
	}
	if table = said[2]; !strings.HasPrefix(table, "task") {
		table = "tasks"
	}
	for _, name := range ranks {
		if strings.EqualFold(strings.ReplaceAll(said[1], " ", "")+"Lock", name) {
			return rank(name), table
		}
	}
	return 0, table
}

func send(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
