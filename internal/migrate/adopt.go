package migrate

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Adoption is what Adopt has found and done.
type Adoption struct {
	Migrations []Migration
	Findings   []catalog.Finding
	Already    bool // the database was managed before; nothing was compared
}

// Adopt compares a tasks table that somebody else created with the documented one. With yes, and if
// nothing blocks, it records the first migration as applied, in one transaction, and changes nothing
// else. Where something blocks the error's Kind is Drift.
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
	if err := m.recordFirst(ctx); err != nil {
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
	a.Findings, err = m.judgeForeign(ctx, conn)
	if err == nil && yes {
		err = m.checkRights(ctx, conn)
	}
	return a, err
}

// judgeForeign compares a table that somebody else created with the documented one. Rows are only looked
// at where the columns are as they should be.
func (m *Migrator) judgeForeign(ctx context.Context, conn *pgx.Conn) ([]catalog.Finding, error) {
	live, err := catalog.Read(ctx, conn)
	if err != nil {
		return nil, asError(ctx, err)
	}
	if len(live) == 0 {
		return nil, &Error{
			Kind: Drift, Message: "there is no table tasks to adopt", Hint: "`taskmigrate up` creates it",
		}
	}
	expected, later, err := m.documented()
	if err != nil {
		return nil, asError(ctx, err)
	}
	found := catalog.Judge(expected, live, m.known[0].version, later)
	if err := driftError(found, "the table cannot be adopted, nothing was changed", catalog.Block); err != nil {
		return found, err
	}
	rows, err := judgeRows(ctx, conn)
	if err != nil {
		return found, asError(ctx, err)
	}
	return append(found, rows...), nil
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

// recordFirst records the first migration as applied, under the run lock.
func (m *Migrator) recordFirst(ctx context.Context) error {
	r := m.newRun(m.known[0].version, false)
	db := r.open()
	defer func() { _ = db.Close() }()
	table, err := newVersionTable(r)
	if err != nil {
		return err
	}
	return r.locked(ctx, db, func() error { return table.adopt(ctx, db, r.to) })
}
