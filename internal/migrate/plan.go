package migrate

import "context"

// Plan is what Up would send, and what it would meet.
type Plan struct {
	Rows       int64       `json:"table_rows"`  // as the planner estimates them; -1: never analyzed or no table
	Bytes      int64       `json:"table_bytes"` // with the indexes
	InTheWay   []string    `json:"in_the_way"`  // other sessions' open transactions that hold a lock on tasks
	Statements []Statement `json:"statements"`
}

// Plan lists what Up would send, on the path that Up itself takes, without sending it. It only reads, and
// does so beside a run that is under way.
func (m *Migrator) Plan(ctx context.Context, to int64) (Plan, []Migration, error) {
	if err := m.checkVersion(to); err != nil {
		return Plan{}, nil, err
	}
	conn, err := m.connect(ctx)
	if err != nil {
		return Plan{}, nil, err
	}
	defer closeConn(conn)
	r := m.newRun(to, false)
	list, _, err := r.todo(ctx, conn)
	if err != nil {
		return Plan{}, list, err
	}
	plan := Plan{InTheWay: []string{}}
	err = conn.QueryRow(ctx, `
SELECT coalesce(max(reltuples), -1)::bigint, coalesce(max(pg_total_relation_size(oid)), 0)
FROM pg_class WHERE oid = to_regclass('tasks')`).Scan(&plan.Rows, &plan.Bytes)
	if err != nil {
		return Plan{}, list, asError(ctx, err)
	}
	users, err := backends(ctx, conn, tableUsers)
	if err != nil {
		return Plan{}, list, asError(ctx, err)
	}
	for _, b := range users {
		plan.InTheWay = append(plan.InTheWay, b.String())
	}
	plan.Statements, err = r.statements(ctx)
	return plan, list, err
}
