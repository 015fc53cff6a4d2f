package migrate

import (
	"context"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Up applies what is pending, up to and including version to (0: everything). Each file commits in
// the transaction mode it asks for, so after an error the files before it are applied. It returns
// every migration as it then stands, after an error too. Safe to call while others do the same.
func (m *Migrator) Up(ctx context.Context, to int64) ([]Migration, error) {
	target, err := m.target(to)
	if err != nil {
		return nil, err
	}
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	list, todo, err := m.before(ctx, conn, target)
	closeConn(conn)
	if err != nil || len(todo) == 0 {
		return list, err
	}
	r := &run{Migrator: m, to: target}
	results, err := r.migrate(ctx)
	return r.outcome(ctx, list, results, err)
}

// before reads where things stand and what there is to do. It refuses a history that cannot be
// continued, and a table that somebody else created.
func (m *Migrator) before(ctx context.Context, conn *pgx.Conn, target int64) ([]Migration, []source, error) {
	// In this order: another runner may be about to create the table, and commits its record with it.
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('tasks') IS NOT NULL`).Scan(&exists); err != nil {
		return nil, nil, asError(ctx, err)
	}
	history, err := readHistory(ctx, conn)
	if err != nil {
		return nil, nil, asError(ctx, err)
	}
	list := states(m.known, history)
	if err := checkHistory(m.known, versions(history)); err != nil {
		return list, nil, err
	}
	if exists && len(history) == 0 {
		return list, nil, &Error{
			Code:    ExitFailed,
			Message: "there is a table tasks that no migration has created; nothing was changed",
			Hint:    "`taskmigrate adopt` compares it with the documented one and takes it over",
		}
	}
	return list, pending(m.known, versions(history), target), nil
}

// target turns --to into the version to stop at.
func (m *Migrator) target(to int64) (int64, error) {
	if to == 0 {
		return math.MaxInt64, nil
	}
	if !slices.ContainsFunc(m.known, func(s source) bool { return s.version == to }) {
		return 0, usagef("no migration has version %d; the newest is %d", to, m.newest())
	}
	return to, nil
}

// history reads what is recorded.
func (m *Migrator) history(ctx context.Context) ([]record, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	history, err := readHistory(ctx, conn)
	if err != nil {
		return nil, asError(ctx, err)
	}
	return history, nil
}
