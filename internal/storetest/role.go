package storetest

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/taskstore"
)

// testRole is the role of schema/roles.sql whose rights all stores get, if it is set: see `make test-role`.
var testRole = os.Getenv("TASKSTORE_TEST_ROLE")

// roleLock is held in the database postgres while roles.sql runs: roles belong to the whole server, which the
// tests of other packages may share.
const roleLock = 0x726f6c6573 // "roles"

// takeRole gives b's pool and store the rights of testRole and no more.
func (b *Bundle) takeRole(t *testing.T) {
	t.Helper()
	conn := b.Maintenance(t)
	defer conn.Close(t.Context()) // and with it goes the lock
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_lock($1)", int64(roleLock)); err != nil {
		t.Fatal(err)
	}
	b.Exec(t, File(t, "schema/roles.sql"))
	b.Pool = b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = b.Admin.Config().MaxConns })
	b.Store = taskstore.New(b.Pool)
}

func useTestRole(config *pgx.ConnConfig) {
	if testRole != "" {
		config.RuntimeParams["role"] = testRole
	}
}

// Maintenance connects to the database postgres of the test's server, at the test's end too. The caller closes
// the connection.
func (b *Bundle) Maintenance(t *testing.T) *pgx.Conn {
	t.Helper()
	url, err := (&pgserver.Server{URL: b.URL}).DatabaseURL("postgres")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(context.WithoutCancel(t.Context()), url)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
