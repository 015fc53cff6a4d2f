package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// kinds are what a Store may stand on.
var kinds = []string{"pool", "connection", "transaction"}

// scene is one call of a method behind a proxy, on three tasks that are as the method wants them.
type scene struct {
	*storetest.Bundle
	*proxy

	kind   string
	method method
	tasks  []taskstore.Task
	pool   *pgxpool.Pool // through the proxy
	conn   *pgx.Conn     // of kinds connection and transaction
	tx     pgx.Tx        // of kind transaction
	store  *taskstore.Store
}

// newScene sets up a scene on a database that other scenes have used.
func newScene(t *testing.T, b *storetest.Bundle, p *proxy, kind string, m method) *scene {
	t.Helper()
	sc := &scene{Bundle: b, proxy: p, kind: kind, method: m}
	b.Exec(t, `DELETE FROM tasks; DELETE FROM task_keys; DELETE FROM task_failures`)
	b.Exec(t, `
		INSERT INTO tasks
			(integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
		SELECT $1, 1, $2, 1, $3, CASE WHEN i = 2 THEN $4 ELSE '' END, $5, $6, $6 FROM generate_series(1, 3) AS i`,
		sceneBatch.IntegrationID, sceneBatch.ClientID, sceneBatch.TemplateID, poison,
		int32(m.status), storetest.LongAgo.UnixMilli())
	b.Exec(t, `
		INSERT INTO task_failures (task_id, failures, reason, failed_at, retry_at)
		SELECT id, 1, '', updated_at, updated_at FROM tasks WHERE status = 3`)
	sc.tasks = storetest.Stored(t, b.Admin)
	return sc
}

// open connects, and makes the Store.
func (sc *scene) open(t *testing.T, configure ...func(*pgxpool.Config)) {
	t.Helper()
	sc.pool = sc.Connect(t, func(c *pgxpool.Config) {
		sc.through(c)
		c.MaxConns = 2
		for _, f := range configure {
			f(c)
		}
	})
	var db taskstore.DB = sc.pool
	if sc.kind != "pool" {
		lent, err := sc.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(lent.Release)
		sc.conn = lent.Conn()
		db = sc.conn
	}
	if sc.kind == "transaction" {
		tx, err := sc.conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sc.tx, db = tx, tx
	}
	sc.store = taskstore.New(db)
}

// call calls the method.
func (sc *scene) call(ctx context.Context) error {
	return sc.method.call(ctx, sc.store, slices.Clone(sc.tasks))
}

// suffer calls the method while f happens to its statement, or to the one that f names. Where f is mute, the call's
// deadline passes as soon as f has happened.
func (sc *scene) suffer(t *testing.T, f fault) error {
	t.Helper()
	sc.open(t)
	defer sc.heal()
	f.statement = cmp.Or(f.statement, sc.method.statement)
	hit := sc.next(f).hit
	ctx := t.Context()
	if f.mute {
		ctx = deadline{ctx, hit}
	}
	err := sc.call(ctx)
	select {
	case <-hit:
	default:
		t.Errorf("no request for %s came by", f.statement)
	}
	return err
}

// deadline is a context whose deadline passes when passed is closed.
type deadline struct {
	context.Context

	passed <-chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.passed }

func (d deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// blocked calls the method, and runs then once it waits for a lock. Before it does, it may have returned.
func (sc *scene) blocked(ctx context.Context, t *testing.T, then func()) error {
	t.Helper()
	done := storetest.Start(func() error { return sc.call(ctx) })
	wait, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		waiting := storetest.One[bool](t, sc.Admin, `
			SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE datname = current_database() AND wait_event_type = 'Lock')`)
		select {
		case err := <-done:
			return err
		case <-wait.Done():
			t.Fatal("the call neither returned nor waited for a lock")
		default:
		}
		if waiting {
			then()
			return <-done
		}
	}
}

// lock takes a lock in a session of the test's own, and returns the function that releases it.
func (sc *scene) lock(t *testing.T, sql string) (release func()) {
	t.Helper()
	tx, err := sc.Admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}
}

// rule makes a rule of somebody else for the table, and drops it behind the scene.
func (sc *scene) rule(t *testing.T, create, drop string) {
	t.Helper()
	sc.Exec(t, create)
	t.Cleanup(func() {
		if _, err := sc.Admin.Exec(context.WithoutCancel(t.Context()), drop); err != nil {
			t.Error(err)
		}
	})
}

// hang makes each statement that writes to tasks wait for a lock while it runs, whatever lock_timeout says, and returns
// the function that releases the lock. It does not lock the table: a statement would wait for that already when it is
// prepared.
func (sc *scene) hang(t *testing.T) (release func()) {
	t.Helper()
	sc.rule(t, `
		CREATE OR REPLACE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			LOOP
				BEGIN
					PERFORM pg_advisory_xact_lock(1);
					RETURN NULL;
				EXCEPTION WHEN lock_not_available THEN
				END;
			END LOOP;
		END $$;
		CREATE TRIGGER hang BEFORE INSERT OR UPDATE OR DELETE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION hang()`,
		`DROP TRIGGER hang ON tasks`)
	return sc.lock(t, `SELECT pg_advisory_xact_lock(1)`)
}

// end commits the caller's transaction, if there is one and it can be committed.
func (sc *scene) end(t *testing.T) error {
	t.Helper()
	if sc.tx == nil {
		return nil
	}
	return sc.tx.Commit(t.Context())
}

// stored says what the call has changed of what is stored.
func (sc *scene) stored(t *testing.T) string {
	t.Helper()
	now := make(map[int64]taskstore.Task)
	for _, row := range storetest.Stored(t, sc.Admin) {
		now[row.ID] = row
	}
	var changed []int
	for i, task := range sc.tasks {
		if now[task.ID] != task {
			changed = append(changed, i)
		}
		delete(now, task.ID)
	}
	keys := storetest.One[int](t, sc.Admin, `SELECT count(*) FROM task_keys JOIN tasks ON id = task_id`)
	if sc.method.keyed && keys != len(now) {
		return fmt.Sprintf("%d tasks and %d keys", len(now), keys)
	}
	all := []int{0, 1, 2}
	if sc.method.one {
		all = []int{1}
	} else if sc.method.creates > 0 {
		all = nil
	}
	switch {
	case len(changed) == 0 && len(now) == 0:
		return "nothing"
	case slices.Equal(changed, all) && len(now) == sc.method.creates:
		return "all"
	case slices.Equal(changed, []int{0, 2}) && len(now) == 0:
		return "the others"
	}
	return fmt.Sprintf("tasks %v, and %d new ones", changed, len(now))
}

// told says what a caller learns from err, in the words of the table.
func told(err error) string {
	if err == nil {
		return "success"
	}
	for kind, name := range map[error]string{
		taskstore.ErrUncertain: "`ErrUncertain`", taskstore.ErrInvalid: "`ErrInvalid`",
		taskstore.ErrConflict: "`ErrConflict`", taskstore.ErrNotFound: "`ErrNotFound`",
	} {
		if errors.Is(err, kind) {
			return name
		}
	}
	return "the cause"
}
