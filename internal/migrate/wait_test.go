package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// adopted is the document's table, taken over, with rows that need repair and everything still to do.
func adopted(t *testing.T, change func(*Options)) *bundle {
	t.Helper()
	b := setupWith(t, dbtest.New(t), change)
	dbtest.Exec(t, b.url, document.DDL)
	dbtest.Exec(t, b.url, `
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at)
SELECT 1, 2, 3, 4, 5, '{}', 1721818960 FROM generate_series(1, 100)`)
	if _, err := b.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	return b
}

// open begins a transaction on a connection named blocker; the first statement decides what it holds.
func (b *bundle) open(t *testing.T, isolation pgx.TxIsoLevel, sql string) (release func()) {
	t.Helper()
	conn := dbtest.Connect(t, dbtest.With(t, b.url, "application_name", "blocker"))
	tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: isolation})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return sync.OnceFunc(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
}

// finish runs up to its end and verifies.
func (b *bundle) finish(t *testing.T) {
	t.Helper()
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	if _, list, err := b.Verify(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("after up: %v, %+v", err, list)
	}
}

// says waits until the log has all of these.
func (b *bundle) says(t *testing.T, parts ...string) {
	t.Helper()
	dbtest.Eventually(t, func() string {
		for _, part := range parts {
			if !strings.Contains(b.log.String(), part) {
				return fmt.Sprintf("%q in the log: %s", part, b.log)
			}
		}
		return ""
	})
}

func TestUpNamesWhoHoldsAnOldSnapshotAndGivesUp(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.IndexWait = time.Second })
	release := b.open(t, pgx.RepeatableRead, `SELECT FROM tasks`)
	defer release()
	_, err := b.Up(t.Context(), Newest)
	failure := wantKind(t, err, HalfDone) // the index is there, and not valid
	if failure.File != "00003_add_idx_task.sql" || failure.Statement != 3 || !failure.Resumable {
		t.Errorf("%+v", failure)
	}
	for _, part := range []string{`application "blocker"`, "applied by this run: 2; still to apply: 3, "} {
		if !strings.Contains(failure.Message, part) {
			t.Errorf("no %q in %q", part, failure.Message)
		}
	}
	b.says(t, "msg=blocked", "file=00003_add_idx_task.sql",
		"pid ", `user \"`, `application \"blocker\"`, "idle in transaction for", "query: ")
	release()
	b.finish(t)
}

func TestUpThatNeverGotItsLockLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.IndexWait = time.Second })
	if _, err := b.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	before := dbtest.Contents(t, b.url)
	release := b.open(t, pgx.ReadCommitted, `LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE`)
	defer release()
	_, err := b.Up(t.Context(), Newest)
	_ = wantKind(t, err, LockWait)
	release()
	if dbtest.Contents(t, b.url) != before {
		t.Error("something was left")
	}
	b.finish(t)
}

func TestUpWaitsForABuildBySomebodyElseAndGivesUp(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.IndexWait = time.Second })
	if _, err := b.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	release := b.open(t, pgx.ReadCommitted, `UPDATE tasks SET argument = '' WHERE id = 1`) // their build waits for it
	defer release()
	builder := dbtest.Connect(t, dbtest.With(t, b.url, "application_name", "builder"))
	built := make(chan error, 1)
	go func() {
		_, err := builder.Exec(context.WithoutCancel(t.Context()),
			`CREATE INDEX CONCURRENTLY idx_task ON tasks (integration_id, client_id, template_id)`)
		built <- err
	}()
	dbtest.Eventually(t, func() string {
		if !dbtest.Value[bool](t, b.url, `SELECT EXISTS (SELECT FROM pg_index WHERE NOT indisvalid)`) {
			return "no index is being built"
		}
		return ""
	})
	_, err := b.Up(t.Context(), Newest)
	if failure := wantKind(t, err, LockWait); !strings.Contains(failure.Message, `application "builder"`) {
		t.Errorf("%q does not name the builder", failure.Message)
	}
	release()
	if err := <-built; err != nil {
		t.Errorf("their build ended with %v", err)
	}
	b.finish(t)
}

func TestUpTriesAgainForAStrongLock(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.LockTimeout = 700 * time.Millisecond })
	if _, err := b.Up(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	release := b.open(t, pgx.ReadCommitted, `UPDATE tasks SET argument = '' WHERE id = 1`)
	defer release()
	done := make(chan error, 1)
	go func() {
		_, err := b.Up(context.WithoutCancel(t.Context()), Newest)
		done <- err
	}()
	b.says(t, "msg=blocked", `application \"blocker\"`, "trying again", "file=00004_guard_tasks.sql")
	release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestUpGivesUpOnAStrongLockAfterItsRetries(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.LockTimeout, o.LockRetries = 50*time.Millisecond, 2 })
	if _, err := b.Up(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	before := dbtest.Contents(t, b.url)
	release := b.open(t, pgx.ReadCommitted, `UPDATE tasks SET argument = '' WHERE id = 1`)
	defer release()
	_, err := b.Up(t.Context(), Newest)
	if failure := wantKind(t, err, LockWait); failure.SQLState != "55P03" || failure.File != "00004_guard_tasks.sql" {
		t.Errorf("%+v", failure)
	}
	if n := strings.Count(b.log.String(), "trying again"); n != 2 {
		t.Errorf("tried again %d times, want 2", n)
	}
	release()
	if dbtest.Contents(t, b.url) != before {
		t.Error("something was left")
	}
}

// An interrupt while it waits to try again is what the run ended for, not the lock.
func TestUpIsInterruptedBetweenTwoTries(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.LockTimeout = 50 * time.Millisecond })
	if _, err := b.Up(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	defer b.open(t, pgx.ReadCommitted, `UPDATE tasks SET argument = '' WHERE id = 1`)()
	ctx, interrupt := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.Up(ctx, Newest)
		done <- err
	}()
	b.says(t, "trying again", "retry=4")
	interrupt(errors.New("enough"))
	failure := wantKind(t, <-done, Failed)
	if !strings.HasPrefix(failure.Message, "interrupted: enough; applied by this run: none") || !failure.Resumable {
		t.Errorf("says %q", failure.Message)
	}
}

func TestUpWaitsForAnotherRunNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.RunLockWait = 200 * time.Millisecond })
	holder := dbtest.Connect(t, dbtest.With(t, b.url, "application_name", "other-runner"))
	lockID := home{schema: "public"}.lockID()
	send(t, holder, `SELECT pg_advisory_lock($1)`, lockID)
	_, err := b.Up(t.Context(), Newest)
	if failure := wantKind(t, err, RunBusy); !strings.Contains(failure.Message, "other-runner") {
		t.Errorf("%q does not name the other runner", failure.Message)
	}
	b.says(t, "waiting for another run", "other-runner")
	send(t, holder, `SELECT pg_advisory_unlock($1)`, lockID)
	b.finish(t)
}

// One builds, the others wait without keeping a snapshot that the build would wait for.
func TestEightRunnersWhileAnIndexIsBuilt(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	release := b.open(t, pgx.RepeatableRead, `SELECT FROM tasks`)
	defer release()
	var runners sync.WaitGroup
	errs := make([]error, 8)
	ran := make([]int, 8)
	for i := range errs {
		runners.Go(func() {
			var list []Migration
			list, errs[i] = b.Up(context.WithoutCancel(t.Context()), Newest)
			for _, m := range list {
				if m.DurationMS != nil {
					ran[i]++
				}
			}
		})
	}
	b.says(t, "msg=blocked", "waiting for another run")
	dbtest.Eventually(t, func() string {
		const polling = `SELECT count(DISTINCT pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'taskmigrate'
    AND (query LIKE '%pg_try_advisory_lock%' OR query LIKE '%usename%pg_locks%')`
		if n := dbtest.Value[int](t, b.url, polling); n < 7 {
			return fmt.Sprintf("%d runners wait", n)
		}
		return ""
	})
	release()
	runners.Wait()
	all := 0
	for i, err := range errs {
		if err != nil {
			t.Error(err)
		}
		all += ran[i]
	}
	if want := len(b.known) - 1; all != want {
		t.Errorf("%d migrations ran, want %d", all, want)
	}
	if _, list, err := b.Verify(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("%v: %+v", err, list)
	}
}

func TestUpGoesOnAfterItsConnectionWasLost(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	release := b.open(t, pgx.RepeatableRead, `SELECT FROM tasks`)
	defer release()
	done := make(chan error, 1)
	go func() {
		_, err := b.Up(context.WithoutCancel(t.Context()), Newest)
		done <- err
	}()
	b.says(t, "msg=blocked")
	dbtest.Exec(t, b.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'taskmigrate' AND query LIKE 'CREATE INDEX%'`)
	_ = wantKind(t, <-done, HalfDone)
	release()
	b.finish(t)
}
