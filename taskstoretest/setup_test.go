package taskstoretest

import (
	"context"
	"crypto/rand"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/pgserver"
)

// owner is a new role on the test binary's server that may create databases and nothing else, as a
// careful DBA gives to CI. Each test has its own, so all databases that the role owns come from that test.
type owner struct {
	server *pgserver.Server // with the role's URL and Source "url", as if the environment had named it
	admin  *pgx.Conn        // a superuser's
	name   string
}

func newOwner(t *testing.T) *owner {
	t.Helper()
	src, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{admin: connect(t, src.server.URL), name: "taskstoretest_" + strings.ToLower(rand.Text())}
	password := rand.Text()
	o.exec(t, fmt.Sprintf("CREATE ROLE %s LOGIN CREATEDB PASSWORD '%s'", quote(o.name), password))
	t.Cleanup(func() {
		for _, name := range o.databases(t) {
			o.exec(t, "DROP DATABASE "+quote(name)+" WITH (FORCE)")
		}
		o.exec(t, "DROP ROLE "+quote(o.name))
	})
	u, err := url.Parse(src.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(o.name, password)
	o.server = &pgserver.Server{URL: u.String(), Source: "url"}
	return o
}

func (o *owner) exec(t *testing.T, sql string) {
	t.Helper()
	// Not the test's own context: cleanups use this, and then that context is over.
	if _, err := o.admin.Exec(context.Background(), sql); err != nil {
		t.Error(err)
	}
}

// databases returns the names of those that the role owns, sorted.
func (o *owner) databases(t *testing.T) []string {
	t.Helper()
	rows, err := o.admin.Query(context.Background(),
		"SELECT datname FROM pg_database WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = $1) ORDER BY 1", o.name)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// migrations returns one goose migration of that name, which runs the statement.
func migrations(name, statement string) fs.FS {
	file := &fstest.MapFile{Data: []byte("-- +goose Up\n" + statement + ";\n-- +goose Down\nSELECT 1;\n")}
	return fstest.MapFS{"00001_" + name + ".sql": file}
}

// recorder stands for a test and records what is said to it.
type recorder struct {
	testing.TB
	failed bool
	said   []string
}

func (r *recorder) Helper()      {}
func (r *recorder) Failed() bool { return r.failed }
func (r *recorder) Log(args ...any) {
	r.said = append(r.said, fmt.Sprint(args...))
}
func (r *recorder) Logf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}
func (r *recorder) Errorf(format string, args ...any) {
	r.failed = true
	r.Logf(format, args...)
}

func (r *recorder) text() string { return strings.Join(r.said, "\n") }

func daysAgo(days float64) int64 {
	return time.Now().Add(-time.Duration(days * float64(24*time.Hour))).Unix()
}
