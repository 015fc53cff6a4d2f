// Package storetest holds the tests of the store and of its schema that need a database. They stand
// apart from package taskstore because `go mod tidy` in an importing module also resolves the tests of
// the packages that it imports.
package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskstoretest"
)

// bundle is a migrated database of a test's own.
type bundle struct {
	store *taskstore.Store // over pool
	pool  *pgxpool.Pool    // with the rights of TASKSTORE_TEST_ROLE, if that is set
	admin *pgxpool.Pool    // the owner's, for SQL that belongs to the test
	url   string           // the owner's
}

func setup(t *testing.T) *bundle {
	t.Helper()
	db := taskstoretest.New(t)
	b := &bundle{store: db.Store, pool: db.Pool, admin: db.Pool, url: db.URL}
	if testRole != "" {
		b.takeRole(t)
	}
	if mode := os.Getenv("TASKSTORE_TEST_PGBOUNCER_MODE"); mode != "" {
		b.behindPgBouncer(t, mode)
	}
	return b
}

// connect opens another pool on the test's database, set up by configure.
func (b *bundle) connect(t *testing.T, configure func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(b.url)
	if err != nil {
		t.Fatal(err)
	}
	useTestRole(config.ConnConfig)
	configure(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// connection opens a single connection to the test's database.
func (b *bundle) connection(t *testing.T) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(b.url)
	if err != nil {
		t.Fatal(err)
	}
	useTestRole(config)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// single returns a connection of its own, and one that a pool has lent.
func (b *bundle) single(t *testing.T) map[string]taskstore.DB {
	t.Helper()
	lent, err := b.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lent.Release)
	return map[string]taskstore.DB{"a connection": b.connection(t), "a pool's connection": lent}
}

// begin starts a transaction at that isolation level, which ends with the test at the latest.
func (b *bundle) begin(t *testing.T, level pgx.TxIsoLevel) pgx.Tx {
	t.Helper()
	tx, err := b.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

// exec runs SQL that belongs to the test, not to the store.
func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.admin.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// create creates newTask(n).
func (b *bundle) create(t *testing.T, n int) taskstore.Task {
	t.Helper()
	task, err := b.store.Create(t.Context(), newTask(n))
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// createMany creates newTask(0) to newTask(n-1).
func (b *bundle) createMany(t *testing.T, n int) []int64 {
	t.Helper()
	ids, err := b.store.CreateMany(t.Context(), newTasks(n))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// in returns a new task as stored, moved to status st.
func (b *bundle) in(t *testing.T, st taskstore.Status) taskstore.Task {
	t.Helper()
	task := b.create(t, int(st))
	if st == taskstore.Pending {
		return task
	}
	task, err := b.store.SetStatus(t.Context(), task, st)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// newTask returns a task in which no two fields, and no two fields of different n, are alike.
func newTask(n int) taskstore.NewTask {
	base := int64(n) * 10
	return taskstore.NewTask{
		IntegrationID: base + 1,
		UserID:        base + 2,
		ClientID:      base + 3,
		AccountID:     base + 4,
		TemplateID:    base + 5,
		Argument:      `{"n": ` + strconv.Itoa(n) + `}`,
	}
}

func newTasks(n int) []taskstore.NewTask {
	ts := make([]taskstore.NewTask, n)
	for i := range ts {
		ts[i] = newTask(i)
	}
	return ts
}

// input returns what t was created from.
func input(t taskstore.Task) taskstore.NewTask {
	return taskstore.NewTask{
		IntegrationID: t.IntegrationID,
		UserID:        t.UserID,
		ClientID:      t.ClientID,
		AccountID:     t.AccountID,
		TemplateID:    t.TemplateID,
		Argument:      t.Argument,
	}
}

type querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
}

// stored reads the whole table by a query of the test's own, in the order of ids.
func stored(t *testing.T, db querier) []taskstore.Task {
	t.Helper()
	rows, err := db.Query(t.Context(), `
		SELECT id, integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at
		FROM tasks`)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (task taskstore.Task, err error) {
		var status int32
		var created, updated int64
		err = row.Scan(&task.ID, &task.IntegrationID, &task.UserID, &task.ClientID, &task.AccountID, &task.TemplateID,
			&task.Argument, &status, &created, &updated)
		task.Status = taskstore.Status(status)
		task.CreatedAt, task.UpdatedAt = taskstore.Millis(created), taskstore.Millis(updated)
		return task, err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(tasks, func(a, b taskstore.Task) int { return cmp.Compare(a.ID, b.ID) })
	return tasks
}

// storedTask returns the stored row with that id.
func storedTask(t *testing.T, db querier, id int64) taskstore.Task {
	t.Helper()
	for _, task := range stored(t, db) {
		if task.ID == id {
			return task
		}
	}
	t.Fatalf("no row has id %d", id)
	return taskstore.Task{}
}

// one returns the value that a query of the test's own selects.
func one[T any](t *testing.T, db querier, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// now returns the database's clock in milliseconds.
func (b *bundle) now(t *testing.T) taskstore.Millis {
	t.Helper()
	return taskstore.Millis(one[int64](t, b.admin, `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint`))
}

// waitFor asks again until the query selects true.
func (b *bundle) waitFor(t *testing.T, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		var ok bool
		if err := b.admin.QueryRow(ctx, sql, args...).Scan(&ok); err != nil {
			t.Fatalf("waiting for %s: %v", sql, err)
		}
		if ok {
			return
		}
	}
}

// waitForBlocked waits until n sessions of this database wait for a lock.
func (b *bundle) waitForBlocked(t *testing.T, n int) {
	t.Helper()
	b.waitFor(t, `
		SELECT count(*) >= $1 FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`, n)
}

// start runs f beside the test and returns the channel of its result.
func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// sqlState returns the SQLSTATE of the server's error that err unwraps to, or "".
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// wantError fails the test unless err is each of targets.
func wantError(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error is %q, want one that is %q", fmt.Sprint(err), target)
		}
	}
}
