package migrate

import (
	"context"
	"database/sql"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Adoption is what Adopt has found and done.
type Adoption struct {
	Migrations []Migration
	Findings   []Finding
	Already    bool // the database was managed before; nothing was compared
}

// Adopt compares a tasks table that somebody else created with the documented one. With yes, and if
// nothing blocks, it records the first migration as applied, in one transaction, and changes nothing
// else. Where something blocks the error has ExitDrift.
func (m *Migrator) Adopt(ctx context.Context, yes bool) (Adoption, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return Adoption{}, err
	}
	defer closeConn(conn)
	history, err := readHistory(ctx, conn)
	if err != nil {
		return Adoption{}, asError(ctx, err)
	}
	a := Adoption{Migrations: states(m.known, history), Already: len(history) > 0}
	if err := checkHistory(m.known, versions(history)); err != nil || a.Already {
		return a, err
	}
	if err := m.judgeForeign(ctx, conn, &a); err != nil || !yes {
		return a, err
	}
	if err := m.recordFirst(ctx); err != nil {
		return a, asError(ctx, err)
	}
	a.Migrations, _, err = m.Status(ctx)
	return a, err
}

// judgeForeign fills in the findings. Rows are only looked at where the columns are as they should be.
func (m *Migrator) judgeForeign(ctx context.Context, conn *pgx.Conn, a *Adoption) error {
	live, err := catalog.Read(ctx, conn)
	if err != nil {
		return asError(ctx, err)
	}
	if len(live) == 0 {
		return &Error{Code: ExitDrift, Message: "there is no table tasks to adopt", Hint: "`taskmigrate up` creates it"}
	}
	if a.Findings, err = m.foreign(live); err != nil {
		return asError(ctx, err)
	}
	if err := drift(a.Findings, "the table cannot be adopted, nothing was changed", SeverityBlock); err != nil {
		return err
	}
	rows, err := rowFindings(ctx, conn)
	if err != nil {
		return asError(ctx, err)
	}
	a.Findings = append(a.Findings, rows...)
	return nil
}

// foreign judges the live table by the document: the first migration and idx_task, which the document
// has and the first migration has not. What later migrations create must not be there in another form.
func (m *Migrator) foreign(live []catalog.Item) ([]Finding, error) {
	first := m.known[0].version
	expected, err := catalog.Snapshot(first)
	if err != nil {
		return nil, err
	}
	var later []catalog.Item
	for _, s := range m.known[1:] {
		items, err := catalog.Snapshot(s.version)
		if err != nil {
			return nil, err
		}
		later = append(later, items...)
		if s.version == m.newest() {
			expected = append(expected, slices.DeleteFunc(items, func(i catalog.Item) bool { return i.Object != "idx_task" })...)
		}
	}
	differences := compare(expected, live)
	list := findings(differences, first)
	for i, d := range differences {
		if d.Expected == "" && inTheWay(d, later) {
			list[i].Severity = SeverityBlock
			list[i].Cause = "a later migration creates one of that name; rename this one first"
		}
	}
	return list, nil
}

// inTheWay tells whether an extra object has the name of one that a later migration creates. An index
// that is as it will be made is taken as it is.
func inTheWay(extra catalog.Difference, later []catalog.Item) bool {
	return slices.ContainsFunc(later, func(item catalog.Item) bool {
		if item.Kind != extra.Kind || item.Object != extra.Object {
			return false
		}
		switch item.Kind {
		case catalog.Index:
			return item.Aspect == catalog.Definition && extra.Actual != item.Value && extra.Actual != item.Value+" INVALID"
		case catalog.Constraint, catalog.Trigger, catalog.Function:
			return true
		}
		return false
	})
}

// recordFirst writes the history under the run lock.
func (m *Migrator) recordFirst(ctx context.Context) error {
	r := &run{Migrator: m}
	db := sql.OpenDB(connector{run: r})
	defer func() { _ = db.Close() }()
	history, err := newStore(r)
	if err != nil {
		return err
	}
	return history.locked(ctx, db, history.adopt)
}
