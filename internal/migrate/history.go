package migrate

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The states of a Migration.
const (
	StateApplied = "applied"
	StatePending = "pending"
	StateUnknown = "unknown" // recorded in the database, not in this binary
)

// Migration is one migration and where it stands.
type Migration struct {
	Version   int64
	Name      string
	State     string
	AppliedAt time.Time     // zero: not applied
	Duration  time.Duration // zero: not applied by this call
}

// record is one row of goose's table.
type record struct {
	version   int64
	appliedAt time.Time
	sha256    *string // nil: recorded by plain goose, or adopted
}

// versionTable is goose's default, so that plain goose finds the same history.
const versionTable = "goose_db_version"

// readHistory reads what is recorded, oldest first, without creating or locking anything.
func readHistory(ctx context.Context, conn *pgx.Conn) ([]record, error) {
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&exists); err != nil || !exists {
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
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r record, err error) {
		err = row.Scan(&r.version, &r.appliedAt, &r.sha256)
		return r, err
	})
}

func versions(history []record) []int64 {
	list := make([]int64, len(history))
	for i, r := range history {
		list[i] = r.version
	}
	return list
}

// checkHistory refuses a history that this binary cannot continue.
func checkHistory(known []source, applied []int64) error {
	if len(applied) == 0 {
		return nil
	}
	var unknown, missing []string
	for _, v := range applied {
		if !slices.ContainsFunc(known, func(s source) bool { return s.version == v }) {
			unknown = append(unknown, fmt.Sprint(v))
		}
	}
	for _, s := range known {
		if s.version < slices.Max(applied) && !slices.Contains(applied, s.version) {
			missing = append(missing, s.name)
		}
	}
	switch {
	case len(unknown) > 0:
		return &Error{
			Code:    ExitHistory,
			Message: "the database has migrations that this binary does not know: " + strings.Join(unknown, ", "),
			Hint:    "use a taskmigrate that is at least as new as the one that applied them; `taskmigrate status` lists both sides",
		}
	case len(missing) > 0:
		return &Error{
			Code:    ExitHistory,
			Message: fmt.Sprintf("version %d is applied but older migrations are not: %s", slices.Max(applied), strings.Join(missing, ", ")),
			Hint: "take the newer ones back with the binary that applied them (`taskmigrate down --to N`), then run `taskmigrate up`; " +
				"where the older ones are in effect already, record them in " + versionTable,
		}
	}
	return nil
}

// pending lists what is not applied, up to and including version to.
func pending(known []source, applied []int64, to int64) []source {
	var list []source
	for _, s := range known {
		if s.version <= to && !slices.Contains(applied, s.version) {
			list = append(list, s)
		}
	}
	return list
}

// states merges this binary's migrations with the recorded ones.
func states(known []source, history []record) []Migration {
	list := make([]Migration, 0, len(known))
	for _, s := range known {
		list = append(list, Migration{Version: s.version, Name: s.name, State: StatePending})
	}
	for _, r := range history {
		i := slices.IndexFunc(list, func(m Migration) bool { return m.Version == r.version })
		if i < 0 {
			list = append(list, Migration{Version: r.version, State: StateUnknown, AppliedAt: r.appliedAt.UTC()})
			continue
		}
		list[i].State, list[i].AppliedAt = StateApplied, r.appliedAt.UTC()
	}
	slices.SortStableFunc(list, func(a, b Migration) int { return cmp.Compare(a.Version, b.Version) })
	return list
}

// changed reports the applied migrations whose file is no longer the one that was applied.
func changed(known []source, history []record) []Finding {
	var list []Finding
	for _, r := range history {
		for _, s := range known {
			if s.version == r.version && r.sha256 != nil && *r.sha256 != s.sha256 {
				list = append(list, Finding{
					Kind: "history", Object: s.name, Severity: SeverityBlock,
					Expected: "sha256 " + s.sha256,
					Actual:   "sha256 " + *r.sha256,
					Cause:    "the file was changed after it had been applied; put it back, and make a new migration of the change",
				})
			}
		}
	}
	return list
}
