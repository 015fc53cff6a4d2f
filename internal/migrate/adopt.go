package migrate

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Adoption is what Adopt has found and done.
type Adoption struct {
	Migrations []Migration
	Findings   []catalog.Finding
	Already    bool // the database was managed before; nothing was compared

	stage int64 // up to this version all is there
}

// Adopt compares a tasks table that somebody else created with the documented one. With yes, and if
// nothing blocks, it records the first migration as applied, in one transaction, and changes nothing
// else. Of a managed table whose history is lost it records every migration whose work is there.
// Where something blocks the error's Kind is Drift.
func (m *Migrator) Adopt(ctx context.Context, yes bool) (Adoption, error) {
	conn, m, history, err := m.look(ctx)
	if err != nil {
		return Adoption{}, err
	}
	a, err := m.judge(ctx, conn, history, yes)
	closeConn(conn)
	if err != nil || a.Already || !yes {
		return a, err
	}
	if err := m.recordStage(ctx, a.stage); err != nil {
		return a, asError(ctx, err)
	}
	a.Migrations, _, err = m.Status(ctx)
	return a, err
}

// judge compares, and tells whether the table may be taken over.
func (m *Migrator) judge(ctx context.Context, conn *pgx.Conn, history []historyRow, yes bool) (Adoption, error) {
	a := Adoption{Migrations: states(m.known, history), Already: len(history) > 0}
	if err := m.checkHistory(history); err != nil || a.Already {
		return a, err
	}
	var err error
	a.stage, a.Findings, err = m.judgeForeign(ctx, conn)
	if err == nil && yes {
		err = m.checkRights(ctx, conn)
	}
	return a, err
}

// judgeForeign compares a table without a history with the documented one, or with that of the stage at which
// our migrations left it. Rows are only looked at where the columns are as they should be.
func (m *Migrator) judgeForeign(ctx context.Context, conn *pgx.Conn) (int64, []catalog.Finding, error) {
	live, err := catalog.Read(ctx, conn)
	if err != nil {
		return 0, nil, asError(ctx, err)
	}
	if len(live) == 0 {
		return 0, nil, &Error{
			Kind: Drift, Message: "there is no table tasks to adopt", Hint: "`taskmigrate up` creates it",
		}
	}
	stage, found, err := m.judgeStage(live)
	if err != nil {
		return 0, nil, asError(ctx, err)
	}
	const refusal = "the table cannot be adopted, nothing was changed"
	if err := m.driftError(found, refusal, catalog.Block); err != nil {
		return stage, found, err
	}
	taken, err := m.judgeNames(ctx, conn)
	if err != nil {
		return stage, found, asError(ctx, err)
	}
	found = append(found, taken...)
	rows, err := judgeRows(ctx, conn)
	if err != nil {
		return stage, found, asError(ctx, err)
	}
	for i := range rows {
		if rows[i].Severity != catalog.Repair || stage < mendedBy[rows[i].Kind] {
			continue
		}
		rows[i].Severity = catalog.Block // the migration that would put them right counts as applied
		if rows[i].Kind == "data" {
			rows[i].Cause = "from before the back-fill of a managed table whose history is lost; put them right by hand"
		}
	}
	found = append(found, rows...)
	return stage, found, m.driftError(found, refusal, catalog.Block)
}

// judgeNames reports what has the name of an index that a migration builds, and is of another table in the same schema.
func (m *Migrator) judgeNames(ctx context.Context, conn *pgx.Conn) ([]catalog.Finding, error) {
	newest, err := catalog.Snapshot(m.newest())
	if err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, `
SELECT relname::text, coalesce(pg_get_indexdef(indexrelid), 'no index')
FROM pg_class LEFT JOIN pg_index ON indexrelid = pg_class.oid
WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'tasks'::regclass) AND relname = ANY ($1)
    AND (indrelid IN ('tasks'::regclass, to_regclass('task_keys'), to_regclass('task_failures'))) IS NOT TRUE
ORDER BY relname`, catalog.IndexNames(newest))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (catalog.Finding, error) {
		f := catalog.Finding{
			Kind: catalog.Index, Severity: catalog.Block, Expected: "nothing else of that name in the schema",
			Cause: "`taskmigrate up` builds an index of that name; rename this one first",
		}
		return f, row.Scan(&f.Object, &f.Actual)
	})
}

// documented is the table as its document has it: the first migration, and idx_task, which that lacks.
// later is what the other migrations create.
func (m *Migrator) documented() (expected, later []catalog.Item, err error) {
	if expected, err = catalog.Snapshot(m.known[0].version); err != nil {
		return nil, nil, err
	}
	var newest []catalog.Item
	for _, s := range m.known[1:] {
		if newest, err = catalog.Snapshot(s.version); err != nil {
			return nil, nil, err
		}
		later = append(later, newest...)
	}
	for _, item := range newest {
		if item.Object == "idx_task" {
			expected = append(expected, item)
		}
	}
	return expected, later, nil
}

// recordStage records the migrations up to a version as applied, under the run lock.
func (m *Migrator) recordStage(ctx context.Context, stage int64) error {
	r := m.newRun(stage, false)
	db := r.open()
	defer func() { _ = db.Close() }()
	table, err := newVersionTable(r)
	if err != nil {
		return err
	}
	var versions []int64
	for _, s := range m.known {
		if s.version <= stage {
			versions = append(versions, s.version)
		}
	}
	return r.locked(ctx, db, func() error { return table.adopt(ctx, db, versions) })
}

// judgeStage compares a table without a history with how it should be, and tells at which version it stands.
// That is the first one, unless all of a later version is there: `pg_dump --schema-only` copies a managed
// table without the rows of its history. Only our migrations make the triggers, so without them the table is
// somebody else's, however much else it has. Of versions that look alike the lowest counts: the files
// between them can be run twice. A version does not fit a table that still has what the version dropped.
func (m *Migrator) judgeStage(live []catalog.Item) (int64, []catalog.Finding, error) {
	stage := m.known[0].version
	same := slices.Equal[[]catalog.Item]
	if !slices.ContainsFunc(live, isSetting) { // a copy may have lost them, so they alone make no stage
		same = func(a, b []catalog.Item) bool { return slices.Equal(withoutSettings(a), withoutSettings(b)) }
	}
	snapshots := make([][]catalog.Item, len(m.known))
	for i, s := range m.known {
		var err error
		if snapshots[i], err = catalog.Snapshot(s.version); err != nil {
			return 0, nil, err
		}
	}
	var items []catalog.Item
	for i, s := range slices.Backward(m.known) {
		expected, earlier := snapshots[i], slices.Concat(snapshots[:i]...)
		fits := count(catalog.Judge(expected, live, s.version, earlier), catalog.Block, catalog.Repair) == 0
		if !fits && items == nil {
			continue
		}
		if !slices.ContainsFunc(expected, isTrigger) || items != nil && !same(expected, items) {
			break
		}
		stage, items = s.version, expected
	}
	if items != nil {
		return stage, catalog.Judge(items, live, stage, nil), nil
	}
	expected, later, err := m.documented()
	if err != nil {
		return 0, nil, err
	}
	return stage, catalog.Judge(expected, live, stage, later), nil
}

func isTrigger(item catalog.Item) bool { return item.Kind == catalog.Trigger }

func isSetting(item catalog.Item) bool { return item.Aspect == catalog.Setting }

func withoutSettings(items []catalog.Item) []catalog.Item {
	return slices.DeleteFunc(slices.Clone(items), isSetting)
}
