package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

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
			plan, _, err := byHand.Plan(t.Context(), 0)
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
			if _, err := byUp.Up(t.Context(), 0); err != nil {
				t.Fatal(err)
			}
			if got, want := catalogOf(t, byHand.url), catalogOf(t, byUp.url); got != want {
				t.Errorf("by hand:\n%s\nby up:\n%s", got, want)
			}
			const history = `SELECT string_agg(version_id || ' ' || coalesce(sha256, ''), ',' ORDER BY id) FROM goose_db_version`
			if got, want := dbtest.Value[string](t, byHand.url, history), dbtest.Value[string](t, byUp.url, history); got != want {
				t.Errorf("history by hand %s, by up %s", got, want)
			}
		})
	}
}

func catalogOf(t *testing.T, url string) string {
	t.Helper()
	schema, _, _ := strings.Cut(dbtest.Contents(t, url), "\n--\n")
	return schema
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
	if _, err := b.Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if plan, _, err := b.Plan(t.Context(), 0); err != nil || len(plan.Statements) > 0 {
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
	plan, _, err := b.Plan(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if plan.Rows != 1 || plan.Bytes == 0 || len(plan.InTheWay) != 1 || !strings.Contains(plan.InTheWay[0], "slow-report") {
		t.Errorf("rows %d, bytes %d, in the way %q", plan.Rows, plan.Bytes, plan.InTheWay)
	}
}

// Each lock that plan claims is the strongest that the server then reports.
func TestPlanTellsTheLocksThatTheServerTakes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	plan, _, err := b.Plan(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	conn, witness := dbtest.Connect(t, b.url), dbtest.Connect(t, b.url)
	held := 0 // in the transaction so far
	for _, s := range plan.Statements {
		want := claimed(s.Lock)
		var got int
		switch {
		case s.Number == 0:
			send(t, conn, s.SQL, s.Args...)
			held = 0
			continue
		case s.Transaction:
			send(t, conn, s.SQL)
			held = max(held, want)
			got, want = strongest(t, conn, conn.PgConn().PID()), held
		case strings.HasPrefix(s.SQL, "CREATE INDEX CONCURRENTLY"):
			send(t, conn, "DROP INDEX IF EXISTS "+strings.Fields(s.SQL)[6])
			got = whileBlocked(t, b.url, conn, witness, s.SQL)
		case strings.Contains(s.Lock, "commit every"):
			got = whileBlocked(t, b.url, conn, witness, s.SQL)
		case strings.Contains(s.Lock, "once nobody else"): // it commits, too
			got = whileBlockedBy(t, b.url, "LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE", conn, witness, s.SQL)
		case strings.HasPrefix(s.SQL, "DROP INDEX CONCURRENTLY"):
			leftover := strings.TrimSuffix(strings.Fields(s.SQL)[5], ";")
			send(t, conn, "CREATE INDEX "+leftover+" ON tasks (argument)")
			got = whileBlocked(t, b.url, conn, witness, s.SQL)
		default: // a check of the catalog
			send(t, conn, "BEGIN")
			send(t, conn, s.SQL)
			got, want = strongest(t, conn, conn.PgConn().PID()), min(want, rank("AccessShareLock"))
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
	writer := dbtest.Connect(t, url)
	send(t, writer, "SET session_replication_role = replica") // a row from before the guard
	send(t, writer, `INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at)
		SELECT 1, 2, 3, 4, 5, '{}', 1721818960 WHERE NOT EXISTS (SELECT FROM tasks)`)
	send(t, writer, "UPDATE tasks SET created_at = 1721818960")
	return whileBlockedBy(t, url, "UPDATE tasks SET argument = ''", conn, witness, sql)
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
		if err := witness.QueryRow(t.Context(), `SELECT cardinality(pg_blocking_pids($1)) > 0`, int32(pid)).Scan(&blocked); err != nil || !blocked {
			return fmt.Sprint("nobody blocks ", sql, err)
		}
		return ""
	})
	lock := strongest(t, witness, pid)
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

// strongest is the strongest lock of a backend on tasks.
func strongest(t *testing.T, conn *pgx.Conn, pid uint32) int {
	t.Helper()
	rows, err := conn.Query(t.Context(), `SELECT mode FROM pg_locks WHERE pid = $1 AND relation = to_regclass('tasks') AND locktype = 'relation'`, int32(pid))
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

// claimed is the rank of the lock that a claim begins with.
func claimed(claim string) int {
	best := ""
	for _, mode := range ranks {
		words := strings.ToUpper(strings.TrimSuffix(mode, "Lock"))
		if strings.HasPrefix(strings.ReplaceAll(claim, " ", ""), words) && len(mode) > len(best) {
			best = mode
		}
	}
	return rank(best)
}

func send(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
