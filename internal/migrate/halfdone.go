package migrate

import (
	"context"
	"time"
)

// A file without a transaction may leave something half-done: an index that is not valid, some indexes
// of several, part of a back-fill. Whether it has is seen by comparing the table's indexes.

const indexState = `
SELECT coalesce(string_agg(indexrelid::text || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY indexrelid), '')
FROM pg_index WHERE indrelid = to_regclass('tasks')`

// An index that somebody else is building is not valid either. A build holds this lock to its end.
const invalidIndexes = `
SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = to_regclass('tasks') AND NOT indisvalid)
    AND NOT EXISTS (
        SELECT FROM pg_locks
        WHERE relation = to_regclass('tasks') AND mode = 'ShareUpdateExclusiveLock' AND granted)`

// halfDone tells whether the failed file has left traces. Where that cannot be seen, it says so.
func (r *run) halfDone(ctx context.Context) bool {
	if !r.patient {
		return false
	}
	if r.partly {
		return true
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	again := *r.Migrator
	again.opts.Wait = 0
	conn, err := again.connect(ctx)
	if err != nil {
		return true
	}
	defer closeConn(conn)
	var after string
	var invalid bool
	if conn.QueryRow(ctx, indexState).Scan(&after) != nil || conn.QueryRow(ctx, invalidIndexes).Scan(&invalid) != nil {
		return true
	}
	return invalid || after != r.indexes
}
