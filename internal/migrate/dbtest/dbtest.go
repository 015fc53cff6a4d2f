// Package dbtest gives the tests of taskmigrate databases of their own on a real server.
package dbtest

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/pgserver"
)

// Server is the test binary's server. It ends with the process.
var Server = sync.OnceValues(func() (*pgserver.Server, error) {
	return pgserver.Start(context.Background())
})

// New creates an empty database and returns its URL. It goes when the test ends.
func New(t testing.TB) string {
	t.Helper()
	server, err := Server()
	if err != nil {
		t.Fatal(err)
	}
	address, drop, err := server.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	return address
}

// Name is the database's name in a URL.
func Name(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// With adds a parameter to a URL.
func With(t testing.TB, address, key, value string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(key, value)
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // pgx takes a plus sign for itself
	return u.String()
}

// Connect opens a connection that closes when the test ends.
func Connect(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	})
	return conn
}

// Exec runs statements on a connection of their own.
func Exec(t testing.TB, address string, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		execOn(t.Context(), t, address, sql)
	}
}

// ExecAtEnd runs statements in a cleanup, when the test's context has ended.
func ExecAtEnd(t testing.TB, address string, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		execOn(context.WithoutCancel(t.Context()), t, address, sql)
	}
}

// Value reads one value on a connection of its own.
func Value[T any](t testing.TB, address, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var value T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// Eventually waits until rest, which says what is still missing, returns nothing. The limit only ends a wait that
// would have no end: it is far above what a machine under load needs.
func Eventually(t testing.TB, rest func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(5 * time.Minute)
	for {
		left := rest()
		if left == "" {
			return
		}
		select {
		case <-late:
			t.Fatal("waited in vain: " + left)
		case <-tick.C:
		}
	}
}

// Clone copies a database to which nobody is connected.
func Clone(t testing.TB, address string) string {
	t.Helper()
	server, err := Server()
	if err != nil {
		t.Fatal(err)
	}
	name := Name(t, address) + "_" + strings.ToLower(rand.Text()[:8])
	copied, err := server.DatabaseURL(name)
	if err != nil {
		t.Fatal(err)
	}
	quoted := pgx.Identifier{name}.Sanitize()
	template := pgx.Identifier{Name(t, address)}.Sanitize()
	execOn(t.Context(), t, server.URL, "CREATE DATABASE "+quoted+" TEMPLATE "+template)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		execOn(ctx, t, server.URL, "DROP DATABASE "+quoted+" WITH (FORCE)")
	})
	return copied
}

func execOn(ctx context.Context, t testing.TB, address, sql string) {
	t.Helper()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
