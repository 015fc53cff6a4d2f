package migrate

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Amount is how much a pending back-fill has to do.
type Amount struct {
	Rows      int64 `json:"rows"`       // that it reads, slice by slice: all of the table
	Rewrites  int64 `json:"rewrites"`   // that it writes anew
	WALBytes  int64 `json:"wal_bytes"`  // estimated
	HeapBytes int64 `json:"heap_bytes"` // by which the heap grows at most until it is vacuumed; estimated
}

// hidesTimes tells of a finding with which rows cannot be judged: a time's column is missing or of another type, or
// it is no ordinary table.
func hidesTimes(f catalog.Finding) bool {
	return f.Severity == catalog.Block &&
		(f.Object == "tasks.created_at" || f.Object == "tasks.updated_at" || f.Kind == catalog.Table)
}

// countBackfill reads the table once, and estimates what 00007 will write, as it was measured on full pages. Of the
// rows that it rewrites a quarter moves to another page: that is a record of the row with its header, and one for each
// index. The others stay on their page. The first change of a page since a checkpoint writes all of the page.
func (r *Review) countBackfill(ctx context.Context, conn *pgx.Conn) error {
	const samePage, header, indexEntry, page = 150, 80, 80, 8192
	var hidden, wholePages bool
	err := conn.QueryRow(ctx, `
SELECT row_security_active('tasks') OR NOT has_table_privilege('tasks', 'SELECT'),
    current_setting('full_page_writes') = 'on'`).Scan(&hidden, &wholePages)
	if err != nil || hidden {
		return err
	}
	var a Amount
	err = conn.QueryRow(ctx, `SELECT count(*), count(*) FILTER (WHERE `+soundTimes+` IS NOT TRUE) FROM tasks`).
		Scan(&a.Rows, &a.Rewrites)
	if err != nil {
		return err
	}
	indexes := int64(len(r.Table.Indexes))
	elsewhere := (a.Rewrites + 3) / 4
	row := r.Table.HeapBytes / max(a.Rows, 1)
	a.HeapBytes = a.Rewrites * row // where an old snapshot keeps the room of old versions from being used again
	a.WALBytes = a.Rewrites*samePage + elsewhere*(row+header+indexEntry*indexes)
	if wholePages {
		a.WALBytes += min(a.Rewrites*page, r.Table.HeapBytes) + min(elsewhere*indexes*page, r.Table.IndexBytes)
	}
	r.Backfill = &a
	return nil
}
