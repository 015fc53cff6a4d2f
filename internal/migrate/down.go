package migrate

import (
	"context"
	"regexp"
	"slices"

	"github.com/tasklane/tasks/internal/connect"
)

// DownOptions say how far to roll back and that this is meant.
type DownOptions struct {
	To            int64  // the version that stays applied; 0: none, and the history goes, too
	Confirm       string // must be the database's name
	AllowDataLoss bool   // needed where a Down drops or deletes data
}

// Down rolls back every migration above opts.To, newest first, and returns all migrations as they then
// stand. A refused call changes nothing.
func (m *Migrator) Down(ctx context.Context, opts DownOptions) ([]Migration, error) {
	if opts.To != 0 {
		if err := m.checkVersion(opts.To); err != nil {
			return nil, err
		}
	}
	name, err := m.Database(ctx)
	if err != nil {
		return nil, err
	}
	if opts.Confirm != name {
		return nil, requestError("the database is %q, not %q: nothing was rolled back", name, opts.Confirm)
	}
	conn, m, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	r := m.newRun(opts.To, true)
	list, todo, err := r.todo(ctx, conn)
	if err == nil && len(todo) > 0 {
		err = m.checkRights(ctx, conn)
	}
	closeConn(conn)
	if err != nil {
		return list, err
	}
	if !opts.AllowDataLoss {
		if err := m.refuseDataLoss(ctx, opts.To); err != nil {
			return list, err
		}
	}
	return r.outcome(ctx, list, r.migrate(ctx))
}

var losesData = regexp.MustCompile(`(?i)\b(DROP\s+TABLE|DROP\s+COLUMN|TRUNCATE|DELETE\s+FROM)\b`)

// refuseDataLoss looks through what rolling back would send for statements that lose rows.
func (m *Migrator) refuseDataLoss(ctx context.Context, to int64) error {
	statements, err := m.newRun(to, true).statements(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(statements, func(s Statement) bool { return s.Number > 0 && losesData.MatchString(s.SQL) })
	if i < 0 {
		return nil
	}
	return &Error{
		Kind: LosesData, File: statements[i].File,
		Message: "rolling back loses data (" + connect.OneLine(statements[i].SQL) + "): nothing was rolled back",
	}
}
