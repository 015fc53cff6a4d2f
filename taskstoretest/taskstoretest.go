// Package taskstoretest gives a service's tests a migrated tasks table of their own:
//
//	func TestImport(t *testing.T) {
//		t.Parallel()
//		db := taskstoretest.New(t)
//		service := NewService(db.Store)
//		…
//	}
//
// The first call in a test binary finds or starts a PostgreSQL server and migrates one database. Each
// test then gets a copy of it, in tens of milliseconds.
//
// The server is the one that TASKSTORE_TEST_DATABASE_URL names (its user needs the right to create
// databases), else a private one from server programs on this machine, else a Docker container of the image
// TASKSTORE_TEST_POSTGRES_IMAGE. TASKSTORE_TEST_POSTGRES=url, local or docker forces one of these. A server
// that the test binary started ends with it. A private server keeps its files in TMPDIR, if that is set, else
// in memory (/dev/shm) where 8 GiB of it are free, else in /tmp.
//
// On a server of yours the database of a failed test stays for a day, and the test logs its URL. Databases
// that killed test binaries left there are removed after a day, too.
//
// The package adds goose, dockertest and what they need to the go.mod and go.sum of a module that imports it.
// Package taskstore does not.
package taskstoretest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/schema"
	"github.com/tasklane/tasks/taskstore"
)

// maxConns bounds each test's pool, so that many tests at once stay within the server's 200 connections.
const maxConns = 8

// DB is the database of one test. It has the migrated tasks table, without a row.
type DB struct {
	Store *taskstore.Store // over Pool
	Pool  *pgxpool.Pool    // of up to 8 connections
	URL   string           // for further connections; it holds the password

	kept string // the URL without its password, or "" if the database ends with the process
	drop func() error
}

// New returns a new database for the test, and removes it when the test ends. Options go to
// [taskstore.New]. Without a server, or if the database cannot be made, the test fails at once.
func New(tb testing.TB, opts ...taskstore.Option) *DB {
	tb.Helper()
	src, err := shared()
	if err != nil {
		tb.Fatalf("taskstoretest: %v", err)
	}
	db, err := src.open(tb.Context(), opts...)
	if err != nil {
		tb.Fatalf("taskstoretest: %v", err)
	}
	tb.Cleanup(func() {
		tb.Helper()
		db.finish(tb)
	})
	return db
}

// shared is the test binary's server with its template. Nobody has to close it: see package pgserver.
var shared = sync.OnceValues(func() (*source, error) {
	srv, err := pgserver.Start(context.Background())
	if err != nil {
		return nil, err
	}
	return prepare(context.Background(), srv, schema.FS)
})

func (src *source) open(ctx context.Context, opts ...taskstore.Option) (*DB, error) {
	address, drop, err := src.server.CloneDatabase(ctx, src.template)
	if err != nil {
		return nil, err
	}
	db := &DB{URL: address, drop: drop}
	if src.server.Source == "url" {
		db.kept = withoutPassword(address)
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	config.MaxConns = maxConns
	db.Pool, err = pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	db.Store = taskstore.New(db.Pool, opts...)
	return db, nil
}

// finish closes the pool and removes the database. If the test failed on a server of the user's, it keeps
// the database for them to look at.
func (db *DB) finish(tb testing.TB) {
	tb.Helper()
	if err := db.closePool(10 * time.Second); err != nil {
		tb.Errorf("taskstoretest: %v", err)
	}
	switch {
	case tb.Failed() && db.kept != "":
		tb.Logf("taskstoretest: the failed test's database is kept for a day: %s", db.kept)
		return
	case tb.Failed():
		tb.Log("taskstoretest: the database ends with the test's private server; " +
			"to keep a failed test's database, name a server of yours in TASKSTORE_TEST_DATABASE_URL")
	}
	if err := db.drop(); err != nil {
		tb.Errorf("taskstoretest: %v", err)
	}
}

// closePool closes the pool, which waits until each connection is back in it. Without a limit, a connection
// that never comes back would hang the test binary.
func (db *DB) closePool(patience time.Duration) error {
	closed := make(chan struct{})
	go func() {
		db.Pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("connections of Pool still in use at the end of the test: %d; release them, close their rows",
			db.Pool.Stat().AcquiredConns())
	}
}

// withoutPassword returns the address for a log, or "" if it is no URL.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	if query := u.Query(); query.Has("password") {
		query.Del("password")
		u.RawQuery = query.Encode()
	}
	return u.String()
}
