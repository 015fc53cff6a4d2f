package migrate

import (
	"cmp"
	"context"
	"errors"
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
	conn, m, history, err := m.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	closeConn(conn)
	return states(m.known, history), changedFiles(m.known, history), nil
}

// Check is Status that also refuses a history which this binary cannot continue.
func (m *Migrator) Check(ctx context.Context) ([]Migration, []catalog.Finding, error) {
	conn, m, history, err := m.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	closeConn(conn)
	return states(m.known, history), changedFiles(m.known, history), m.checkHistory(history)
}

// look connects, finds its home and reads what is recorded.
func (m *Migrator) look(ctx context.Context) (*pgx.Conn, *Migrator, []historyRow, error) {
	conn, m, err := m.connect(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	history, err := m.readHistory(ctx, conn)
	if err != nil {
		closeConn(conn)
		return nil, nil, nil, asError(ctx, err)
	}
	return conn, m, history, nil
}

// readHistory reads what is recorded, oldest first, without creating or locking anything.
func (m *Migrator) readHistory(ctx context.Context, conn *pgx.Conn) ([]historyRow, error) {
	exists, err := m.checkOwnTable(ctx, conn)
	if err != nil || !exists {
		return nil, err
	}
	// goose records a timestamp without time zone in the session's zone, which is UTC in ours.
	rows, err := conn.Query(ctx, `
SELECT version_id, tstamp::timestamptz, sha256
FROM `+quoted(m.opts.HistoryTable)+`
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

// checkOwnTable tells whether there is a history. A table of its name that is another application's is an
// error: goose gives all of them the same columns, but ours has one more.
func (m *Migrator) checkOwnTable(ctx context.Context, conn *pgx.Conn) (exists bool, err error) {
	var own bool
	name := quoted(m.opts.HistoryTable)
	err = conn.QueryRow(ctx, `
SELECT relkind = 'r' AND array['id', 'version_id', 'is_applied', 'tstamp', 'sha256'] <@ array(
    SELECT attname::text FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_class WHERE oid = to_regclass($1)`, name).Scan(&own)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return false, nil
	case err != nil || own:
		return own, err
	}
	return false, &Error{
		Kind: Conflict,
		Message: fmt.Sprintf("%s in schema %s is not a history of taskmigrate's; nothing was changed",
			name, quoted(m.home.schema)),
		Hint: "name another: --history-table NAME; if plain goose made it from these migrations: " +
			"ALTER TABLE " + name + " ADD COLUMN sha256 text",
	}
}

func isApplied(history []historyRow, version int64) bool {
	return slices.ContainsFunc(history, func(r historyRow) bool { return r.version == version })
}

// isAdopted tells whether a version is recorded without the hash of its file: the file was not run by us.
func isAdopted(history []historyRow, version int64) bool {
	return slices.ContainsFunc(history, func(r historyRow) bool { return r.version == version && r.sha256 == nil })
}

// newestApplied is the newest version in the history; 0: none is applied.
func newestApplied(history []historyRow) (newest int64) {
	for _, r := range history {
		newest = max(newest, r.version)
	}
	return newest
}

// checkHistory refuses a history that this binary cannot continue.
func (m *Migrator) checkHistory(history []historyRow) error {
	known := m.known
	var unknown, missing, values []string
	for _, r := range history {
		if !slices.ContainsFunc(known, func(s source) bool { return s.version == r.version }) {
			unknown = append(unknown, fmt.Sprint(r.version))
		}
	}
	newest := newestApplied(history)
	for _, s := range known {
		if s.version < newest && !isApplied(history, s.version) {
			missing, values = append(missing, s.name), append(values, fmt.Sprintf("(%d, true)", s.version))
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
				"where the older ones are in effect already, record them: INSERT INTO " +
				pgx.Identifier{m.home.schema, m.opts.HistoryTable}.Sanitize() +
				" (version_id, is_applied) VALUES " + strings.Join(values, ", "),
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
