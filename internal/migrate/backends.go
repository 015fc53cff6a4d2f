package migrate

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// backend is another session of the server that is in the way.
type backend struct {
	PID                int32
	User               string
	Application        string
	State              string
	Query              string
	TransactionSeconds float64 // or those since its last statement ended
}

// backendColumns are those of a backend, from pg_stat_activity. What the user may not see comes out empty.
const backendColumns = `
SELECT coalesce(pid, 0), coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''),
    coalesce(query, ''),
    coalesce(extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change)), 0)::float8`

// blockers are the backends that block $1. A prepared transaction has the pid 0.
const blockers = backendColumns + `
FROM unnest(pg_blocking_pids($1)) AS blocking (pid) LEFT JOIN pg_stat_activity USING (pid)`

// lockHolder is the backend that holds the advisory lock $1.
const lockHolder = backendColumns + `
FROM pg_stat_activity
WHERE pid = (
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = $1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT 1)`

// tableUsers are the backends whose open transaction holds a lock on tasks, the oldest first.
const tableUsers = backendColumns + `
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid IN (
    SELECT pid FROM pg_locks WHERE relation = to_regclass('tasks') AND granted AND pid <> pg_backend_pid())
ORDER BY xact_start`

func backends(ctx context.Context, conn *pgx.Conn, query string, args ...any) ([]backend, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
}

// doing identifies the backend and what it does, without its age.
func (b backend) doing() string { return fmt.Sprint(b.PID, b.State, b.Query) }

// secret finds a password in a statement: that of CREATE ROLE, or one in a connection string.
var secret = regexp.MustCompile(`(?i)(password\s*=?\s*|://[^\s:/]*:)('[^']*'|\S+)`)

func (b backend) String() string {
	if b.PID == 0 {
		return "a prepared transaction, see pg_prepared_xacts"
	}
	query := firstWords(secret.ReplaceAllString(b.Query, "$1***"))
	age := time.Duration(b.TransactionSeconds * float64(time.Second)).Round(100 * time.Millisecond)
	return strings.TrimSpace(fmt.Sprintf("pid %d, user %q, application %q, %s for %s, query: %s",
		b.PID, b.User, b.Application, b.State, age, query))
}
