package migrate

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Plan is what Up would send, and what it would meet.
type Plan struct {
	Statements []Statement
	Rows       int64    // of tasks, as the planner estimates them; -1: never analyzed or no table
	Bytes      int64    // of tasks with its indexes
	InTheWay   []string // other sessions' open transactions that hold a lock on tasks
}

// Plan records what Up would send, on the path that Up itself takes, without sending it. It only reads,
// and does so beside a run that is under way.
func (m *Migrator) Plan(ctx context.Context, to int64) (Plan, []Migration, error) {
	target, err := m.target(to)
	if err != nil {
		return Plan{}, nil, err
	}
	conn, err := m.connect(ctx)
	if err != nil {
		return Plan{}, nil, err
	}
	defer closeConn(conn)
	list, _, err := m.before(ctx, conn, target)
	if err != nil {
		return Plan{}, list, err
	}
	plan, err := meets(ctx, conn)
	if err != nil {
		return Plan{}, list, asError(ctx, err)
	}
	dry := &run{Migrator: m, to: target, plan: &recording{}}
	if _, err := dry.attempt(ctx); err != nil {
		return Plan{}, list, dry.failure(ctx, err)
	}
	plan.Statements = dry.plan.list
	return plan, list, nil
}

// meets reads the table's size and who works on it.
func meets(ctx context.Context, conn *pgx.Conn) (plan Plan, err error) {
	err = conn.QueryRow(ctx, `
SELECT coalesce(max(reltuples), -1)::bigint, coalesce(max(pg_total_relation_size(oid)), 0)
FROM pg_class WHERE oid = to_regclass('tasks')`).Scan(&plan.Rows, &plan.Bytes)
	if err != nil {
		return plan, err
	}
	rows, err := conn.Query(ctx, `SELECT `+backendColumns+`
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid IN (SELECT pid FROM pg_locks WHERE relation = to_regclass('tasks') AND granted AND pid <> pg_backend_pid())
ORDER BY xact_start`)
	if err != nil {
		return plan, err
	}
	plan.InTheWay, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var b backend
		err := row.Scan(b.columns()...)
		return b.String(), err
	})
	return plan, err
}
