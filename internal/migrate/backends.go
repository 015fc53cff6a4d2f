package migrate

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// backend is another session of the server that is in the way, or a prepared transaction.
type backend struct {
	PID                int32 // 0: it is a prepared transaction
	User               string
	Application        string
	State              string
	Query              string  // of a prepared transaction: its name
	TransactionSeconds float64 // or those since its last statement ended
}

// backendColumns are those of a backend, from pg_stat_activity. What the user may not see comes out empty.
const backendColumns = `
SELECT coalesce(pid, 0), coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''),
    coalesce(query, ''),
    coalesce(extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change)), 0)::float8 AS age`

// prepared are the prepared transactions of the database. They have no process, so their pid is 0.
const prepared = `
SELECT 0, owner::text, '', 'prepared', gid, extract(epoch FROM clock_timestamp() - prepared)::float8 AS age
FROM pg_prepared_xacts
WHERE database = current_database()`

// preparedHolds begins a condition on a lock that a transaction in prepared holds. It is known by the lock that the
// transaction has on its own id.
const preparedHolds = ` EXISTS (
    SELECT FROM pg_locks AS own JOIN pg_locks AS held USING (virtualtransaction)
    WHERE own.pid IS NULL AND held.pid IS NULL AND own.transactionid = transaction AND `

// blockers are the backends that block $1, and the prepared transactions that hold what it waits for.
const blockers = backendColumns + `
FROM unnest(pg_blocking_pids($1)) AS blocking (pid) LEFT JOIN pg_stat_activity USING (pid)
WHERE blocking.pid <> 0
UNION ALL` + prepared + `
    AND 0 = ANY (pg_blocking_pids($1)) AND` + preparedHolds + `
        EXISTS (
            SELECT FROM pg_locks AS awaited
            WHERE awaited.pid = $1 AND NOT awaited.granted
                AND (awaited.locktype, awaited.relation, awaited.transactionid)
                    IS NOT DISTINCT FROM (held.locktype, held.relation, held.transactionid)))`

// lockHolder is the backend that holds the advisory lock $1.
const lockHolder = backendColumns + `
FROM pg_stat_activity
WHERE pid = (
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = $1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT 1)`

// tableUsers are those whose open or prepared transaction holds a lock on tasks, the oldest first.
const tableUsers = backendColumns + `
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid IN (
    SELECT pid FROM pg_locks WHERE relation = to_regclass('tasks') AND granted AND pid <> pg_backend_pid())
UNION ALL` + prepared + ` AND` + locksTasks + `
ORDER BY age DESC`

// otherPrepared are the prepared transactions that hold no lock on tasks.
const otherPrepared = prepared + ` AND NOT` + locksTasks + ` ORDER BY age DESC`

const locksTasks = preparedHolds + `held.relation = to_regclass('tasks'))`

// oldSnapshots are the transactions that have been seeing the database's past for $1 seconds or longer.
const oldSnapshots = backendColumns + `
FROM pg_stat_activity
WHERE datname = current_database() AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()
    AND xact_start <= clock_timestamp() - $1 * interval '1 second'
ORDER BY age DESC`

const indexBuilds = backendColumns + `
FROM pg_stat_progress_create_index JOIN pg_stat_activity USING (pid)
WHERE relid = to_regclass('tasks')`

func backends(ctx context.Context, conn *pgx.Conn, query string, args ...any) ([]backend, error) {
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[backend])
}

// doing identifies the backend and what it does, without its age.
func (b backend) doing() string { return fmt.Sprint(b.PID, b.State, b.Query) }

// secret finds a password in a statement: one in a URL, or whatever follows the word, since it may be quoted in many
// ways.
var secret = regexp.MustCompile(`(?is)(://[^\s:/]*:)\S+|(password\s*=?\s*).*`)

func (b backend) String() string {
	age := time.Duration(b.TransactionSeconds * float64(time.Second)).Round(100 * time.Millisecond)
	if b.PID == 0 {
		return fmt.Sprintf("prepared transaction %q, user %q, for %s; COMMIT PREPARED or ROLLBACK PREPARED ends it",
			b.Query, b.User, age)
	}
	query := firstWords(secret.ReplaceAllString(b.Query, "$1$2***"))
	return strings.TrimSpace(fmt.Sprintf("pid %d, user %q, application %q, %s for %s, query: %s",
		b.PID, b.User, b.Application, b.State, age, query))
}

func inOneLine(list []backend) string {
	texts := make([]string, len(list))
	for i, b := range list {
		texts[i] = b.String()
	}
	return strings.Join(texts, "; ")
}
