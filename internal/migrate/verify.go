package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Verify compares the live table with how the newest applied migration should have left it, and the
// applied migrations with their files. It only reads. Where a Finding is more than a note the error has
// ExitDrift.
func (m *Migrator) Verify(ctx context.Context) ([]Migration, []Finding, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer closeConn(conn)
	history, err := readHistory(ctx, conn)
	if err != nil {
		return nil, nil, asError(ctx, err)
	}
	list, applied := states(m.known, history), versions(history)
	if err := checkHistory(m.known, applied); err != nil {
		return list, nil, err
	}
	live, err := catalog.Read(ctx, conn)
	if err != nil {
		return list, nil, asError(ctx, err)
	}
	found := unmanaged(live)
	if len(applied) > 0 {
		newest := slices.Max(applied)
		expected, err := catalog.Snapshot(newest)
		if err != nil {
			return list, nil, asError(ctx, err)
		}
		found = append(changed(m.known, history), findings(compare(expected, live), newest)...)
	}
	return list, found, drift(found, "the table is not as its history says", SeverityBlock, SeverityRepair)
}

// compare lists the differences. What is no ordinary table is not looked at any closer.
func compare(expected, live []catalog.Item) []catalog.Difference {
	list := catalog.Diff(expected, live)
	for _, d := range list {
		if d.Kind == catalog.Table && d.Object == "tasks" {
			return []catalog.Difference{d}
		}
	}
	return list
}

// unmanaged judges a database in which no migration is recorded.
func unmanaged(live []catalog.Item) []Finding {
	if len(live) == 0 {
		return []Finding{{
			Kind: catalog.Table, Object: "tasks", Severity: SeverityNote,
			Expected: "a migrated table", Actual: "no table, and no migration applied",
			Cause: "nothing to compare; is this the right database?",
		}}
	}
	return []Finding{{
		Kind: catalog.Table, Object: "tasks", Severity: SeverityBlock,
		Expected: "no table before the first migration", Actual: "a table",
		Cause: "somebody else created it; see `taskmigrate adopt`",
	}}
}

// drift is the failure that findings other than notes stand for, nil if there are none.
func drift(list []Finding, message string, severities ...string) error {
	n := 0
	for _, f := range list {
		if slices.Contains(severities, f.Severity) {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return &Error{Code: ExitDrift, Message: fmt.Sprintf("%s: %d to be put right", message, n)}
}
