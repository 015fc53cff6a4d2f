package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// The states of a Migration.
const (
	StateApplied = "applied"
	StatePending = "pending"
	StateUnknown = "unknown" // recorded in the database, not in this binary
)

// Migration is one migration and where it stands.
type Migration struct {
	Version    int64      `json:"version"`
	Name       string     `json:"name"`
	State      string     `json:"state"`
	AppliedAt  *time.Time `json:"applied_at"`  // nil: not applied
	DurationMS *int64     `json:"duration_ms"` // nil: this call did not run it
}

// historyRow is one migration as the database has it recorded.
type historyRow struct {
	version   int64
	appliedAt time.Time
	sha256    *string // nil: recorded by plain goose, or adopted
}

// Status tells which migrations are applied, pending or unknown to this binary, and which applied
// files have changed since. It only reads, takes no lock beyond those of a SELECT, and works in a
// read-only session and on a database that goose has never seen.
func (m *Migrator) Status(ctx context.Context) ([]Migration, []catalog.Finding, error) {
	conn, history, err := m.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	closeConn(conn)
	return states(m.known, history), changedFiles(m.known, history), nil
}

// look connects, and reads what is recorded.
func (m *Migrator) look(ctx context.Context) (*pgx.Conn, []historyRow, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	history, err := readHistory(ctx, conn)
	if err != nil {
		closeConn(conn)
		return nil, nil, asError(ctx, err)
	}
	return conn, history, nil
}

// readHistory reads what is recorded, oldest first, without creating or locking anything.
func readHistory(ctx context.Context, conn *pgx.Conn) ([]historyRow, error) {
	var exists bool
	err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTableName).Scan(&exists)
	if err != nil || !exists {
		return nil, err
	}
	// to_jsonb, because a table that plain goose made lacks the column. goose records a timestamp
	// without time zone in the session's zone.
	rows, err := conn.Query(ctx, `
SELECT version_id, tstamp::timestamptz, to_jsonb(recorded)->>'sha256'
FROM goose_db_version AS recorded
WHERE version_id > 0
ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r historyRow, err error) {
		err = row.Scan(&r.version, &r.appliedAt, &r.sha256)
		return r, err
	})
}

func isApplied(history []historyRow, version int64) bool {
	return slices.ContainsFunc(history, func(r historyRow) bool { return r.version == version })
}

// newestApplied is the newest version in the history; 0: none is applied.
func newestApplied(history []historyRow) (newest int64) {
	for _, r := range history {
		newest = max(newest, r.version)
	}
	return newest
}

// checkHistory refuses a history that this binary cannot continue.
func checkHistory(known []source, history []historyRow) error {
	var unknown, missing []string
	for _, r := range history {
		if !slices.ContainsFunc(known, func(s source) bool { return s.version == r.version }) {
			unknown = append(unknown, fmt.Sprint(r.version))
		}
	}
	newest := newestApplied(history)
	for _, s := range known {
		if s.version < newest && !isApplied(history, s.version) {
			missing = append(missing, s.name)
		}
	}
	switch {
	case len(unknown) > 0:
		return &Error{
			Kind:    Conflict,
			Message: "the database has migrations that this binary does not know: " + strings.Join(unknown, ", "),
			Hint: "use a taskmigrate that is at least as new as the one that applied them; " +
				"`taskmigrate status` lists both sides",
		}
	case len(missing) > 0:
		return &Error{
			Kind: Conflict,
			Message: fmt.Sprintf("version %d is applied but older migrations are not: %s",
				newest, strings.Join(missing, ", ")),
			Hint: "roll the newer ones back with the binary that applied them, then run `taskmigrate up`; " +
				"where the older ones are in effect already, record them in " + versionTableName,
		}
	}
	return nil
}

// states merges this binary's migrations with the recorded ones.
func states(known []source, history []historyRow) []Migration {
	list := make([]Migration, 0, len(known))
	for _, s := range known {
		list = append(list, Migration{Version: s.version, Name: s.name, State: StatePending})
	}
	for _, r := range history {
		at := r.appliedAt.UTC()
		i := slices.IndexFunc(list, func(m Migration) bool { return m.Version == r.version })
		if i < 0 {
			list = append(list, Migration{Version: r.version, State: StateUnknown, AppliedAt: &at})
			continue
		}
		list[i].State, list[i].AppliedAt = StateApplied, &at
	}
	slices.SortStableFunc(list, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	return list
}

// changedFiles reports the applied migrations whose file is no longer the one that was applied.
func changedFiles(known []source, history []historyRow) []catalog.Finding {
	var list []catalog.Finding
	for _, r := range history {
		for _, s := range known {
			if s.version == r.version && r.sha256 != nil && *r.sha256 != s.sha256 {
				list = append(list, catalog.Finding{
					Kind: "history", Object: s.name, Severity: catalog.Block,
					Expected: "sha256 " + s.sha256,
					Actual:   "sha256 " + *r.sha256,
					Cause: "the file was changed after it had been applied; " +
						"put it back, and make a new migration of the change",
				})
			}
		}
	}
	return list
}
