package migrate

import "context"

// Up applies what is pending, up to and including version to, or all of it with Newest. Each file commits
// in the transaction mode it asks for, so after an error the files before it are applied. It returns
// every migration as it then stands, after an error too. Safe to call while others do the same.
func (m *Migrator) Up(ctx context.Context, to int64) ([]Migration, error) {
	if err := m.checkVersion(to); err != nil {
		return nil, err
	}
	conn, m, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	r := m.newRun(to, false)
	list, todo, err := r.todo(ctx, conn)
	if err == nil && len(todo) > 0 {
		err = m.checkRights(ctx, conn)
	}
	closeConn(conn)
	if err != nil || len(todo) == 0 {
		return list, err
	}
	return r.outcome(ctx, list, r.migrate(ctx))
}
