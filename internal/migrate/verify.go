package migrate

import (
	"context"
	"fmt"
	"slices"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Verify compares the live table with how the newest applied migration should have left it, and the
// applied migrations with their files. It only reads. If a finding is more than a note the error's Kind
// is Drift.
func (m *Migrator) Verify(ctx context.Context) ([]Migration, []catalog.Finding, error) {
	conn, m, history, err := m.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer closeConn(conn)
	list := states(m.known, history)
	if err := m.checkHistory(history); err != nil {
		return list, nil, err
	}
	live, err := catalog.Read(ctx, conn)
	if err != nil {
		return list, nil, asError(ctx, err)
	}
	found, refusal := []catalog.Finding{judgeUnmanaged(live)}, "no migration is recorded in this database"
	if newest := newestApplied(history); newest > 0 {
		expected, err := catalog.Snapshot(newest)
		if err != nil {
			return list, nil, asError(ctx, err)
		}
		found = append(changedFiles(m.known, history), catalog.Judge(expected, live, newest, nil)...)
		refusal = "the table is not as its history says"
	}
	return list, found, m.driftError(found, refusal, catalog.Block, catalog.Repair)
}

// judgeUnmanaged judges a database in which no migration is recorded.
func judgeUnmanaged(live []catalog.Item) catalog.Finding {
	if len(live) == 0 {
		return catalog.Finding{
			Kind: catalog.Table, Object: "tasks", Severity: catalog.Block,
			Expected: "a migrated table", Actual: "no table, and no migration applied",
			Cause: "is this the right database, and the right --schema? `taskmigrate up` creates the table",
		}
	}
	return catalog.Finding{
		Kind: catalog.Table, Object: "tasks", Severity: catalog.Block,
		Expected: "no table before the first migration", Actual: "a table",
		Cause: "somebody else created it; see `taskmigrate adopt`",
	}
}

// driftError is the failure that findings of these severities are, nil if there are none.
func (m *Migrator) driftError(list []catalog.Finding, message string, severities ...string) error {
	n := count(list, severities...)
	if n == 0 {
		return nil
	}
	failure := &Error{Kind: Drift, Message: fmt.Sprintf("%s: %d to be put right", message, n)}
	if m.opts.Schema != "" { // elsewhere than the search path says
		failure.Hint = "statements of the findings are for psql after SET search_path TO " + quoted(m.opts.Schema)
	}
	return failure
}

// count counts the findings of these severities.
func count(list []catalog.Finding, severities ...string) (n int) {
	for _, f := range list {
		if slices.Contains(severities, f.Severity) {
			n++
		}
	}
	return n
}
