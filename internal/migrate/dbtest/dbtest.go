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

// Contents describes all that a database holds outside the system's schemas, rows of goose's table and
// of tasks included: equal before and after means that nothing has changed.
func Contents(t testing.TB, address string) string {
	t.Helper()
	parts := []string{Value[string](t, address, catalog)}
	for _, table := range []string{"goose_db_version", "tasks"} {
		if Value[bool](t, address, `SELECT to_regclass($1) IS NOT NULL`, table) {
			parts = append(parts, Value[string](t, address,
				`SELECT coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM `+pgx.Identifier{table}.Sanitize()+` AS r`))
		}
	}
	return strings.Join(parts, "\n--\n")
}

const catalog = `
SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '')
FROM (
    SELECT concat_ws(' ', 'relation', relname, relkind, reloptions, obj_description(c.oid, 'pg_class')) AS line
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'column', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relkind IN ('r', 'p', 'v')
    UNION ALL
    SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid)
    FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'function', oid::regprocedure, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL
    SELECT concat_ws(' ', 'type', typname) FROM pg_type WHERE typnamespace = 'public'::regnamespace
) AS everything`

// Eventually waits until what is left to wait for, as rest says it, is nothing. The limit only ends a wait that
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
	execOn(t.Context(), t, server.URL, "CREATE DATABASE "+quoted+" TEMPLATE "+pgx.Identifier{Name(t, address)}.Sanitize())
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
