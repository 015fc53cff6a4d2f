// Package storetest sets up what the tests in its folders share. They are the tests of the store and of its
// schema that need a database, one folder a subject. They do not stand beside package taskstore because
// `go mod tidy` in a module that imports it also resolves the tests of the packages that it imports.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskstoretest"
)

// Bundle is a migrated database of a test's own.
type Bundle struct {
	Store *taskstore.Store // over Pool
	Pool  *pgxpool.Pool    // with the rights of TASKSTORE_TEST_ROLE, if that is set
	Admin *pgxpool.Pool    // the owner's, for SQL that belongs to the test
	URL   string           // the owner's
}

// Setup makes that database. TASKSTORE_TEST_ROLE names a role of schema/roles.sql whose rights the stores get,
// TASKSTORE_TEST_PGBOUNCER_MODE a mode of pgx in which they work through a PgBouncer: see `make test-role` and
// `make test-pgbouncer`.
func Setup(t *testing.T) *Bundle {
	t.Helper()
	if OnCitus() {
		return setupCitus(t)
	}
	db := taskstoretest.New(t)
	b := &Bundle{Store: db.Store, Pool: db.Pool, Admin: db.Pool, URL: db.URL}
	if testRole != "" {
		b.takeRole(t)
	}
	if mode := os.Getenv("TASKSTORE_TEST_PGBOUNCER_MODE"); mode != "" {
		b.behindPgBouncer(t, mode)
	}
	return b
}

// Connect opens another pool on the test's database, set up by configure.
func (b *Bundle) Connect(t *testing.T, configure func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(b.URL)
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

// Connection opens a single connection to the test's database.
func (b *Bundle) Connection(t *testing.T) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	useTestRole(config)
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// Single returns a connection of its own, and one that a pool has lent.
func (b *Bundle) Single(t *testing.T) map[string]taskstore.DB {
	t.Helper()
	lent, err := b.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(lent.Release)
	return map[string]taskstore.DB{"a connection": b.Connection(t), "a pool's connection": lent}
}

// Begin starts a transaction at that isolation level, which ends with the test at the latest.
func (b *Bundle) Begin(t *testing.T, level pgx.TxIsoLevel) pgx.Tx {
	t.Helper()
	tx, err := b.Pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	return tx
}

// Exec runs SQL that belongs to the test, not to the store.
func (b *Bundle) Exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := b.Admin.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Now returns the database's clock in milliseconds.
func (b *Bundle) Now(t *testing.T) taskstore.Millis {
	t.Helper()
	return taskstore.Millis(One[int64](t, b.Admin, `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint`))
}

// WaitFor asks again until the query selects true.
func (b *Bundle) WaitFor(t *testing.T, sql string, args ...any) {
	t.Helper()
	dbtest.Eventually(t, func() string {
		if One[bool](t, b.Admin, sql, args...) {
			return ""
		}
		return sql
	})
}

// WaitForBlocked waits until n sessions of this database wait for a lock.
func (b *Bundle) WaitForBlocked(t *testing.T, n int) {
	t.Helper()
	sessions := "pg_stat_activity"
	if OnCitus() {
		sessions = "citus_stat_activity" // of all nodes
	}
	b.WaitFor(t, `
		SELECT count(*) >= $1 FROM `+sessions+`
		WHERE datname = current_database() AND wait_event_type = 'Lock'`, n)
}

// File returns a file of this project, which tests in the folders of this package find by path, such as
// "schema/roles.sql".
func File(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("../../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Start runs f beside the test and returns the channel of its result.
func Start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// SQLState returns the SQLSTATE of the server's error that err unwraps to, or "".
func SQLState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// WantError fails the test unless err is each of targets.
func WantError(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error is %q, want one that is %q", fmt.Sprint(err), target)
		}
	}
}

// StrictLevels are the isolation levels in which a lost race is a serialization failure.
var StrictLevels = []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable}
