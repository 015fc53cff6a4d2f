package migrate

import (
	"context"
	"regexp"
	"slices"
)

// DownOptions say how far to roll back and that this is meant.
type DownOptions struct {
	To            int64  // the version that stays applied; 0: none, and goose's table goes, too
	Confirm       string // must be the database's name
	AllowDataLoss bool   // needed where a Down drops or deletes data
}

// Down rolls back every migration above opts.To, newest first, and returns all migrations as they then
// stand. A refused call changes nothing.
func (m *Migrator) Down(ctx context.Context, opts DownOptions) ([]Migration, error) {
	if opts.To != 0 {
		if _, err := m.target(opts.To); err != nil {
			return nil, err
		}
	}
	name, err := m.Database(ctx)
	if err != nil {
		return nil, err
	}
	if opts.Confirm != name {
		return nil, usagef("the database is %q, not %q: nothing was rolled back", name, opts.Confirm)
	}
	history, err := m.history(ctx)
	if err != nil {
		return nil, err
	}
	list := states(m.known, history)
	if err := checkHistory(m.known, versions(history)); err != nil {
		return list, err
	}
	if !opts.AllowDataLoss {
		if err := m.refuseDataLoss(ctx, opts.To); err != nil {
			return list, err
		}
	}
	r := &run{Migrator: m, to: opts.To, down: true}
	results, err := r.migrate(ctx)
	return r.outcome(ctx, list, results, err)
}

// Database is the name of the database that the connection string leads to.
func (m *Migrator) Database(ctx context.Context) (name string, err error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	defer closeConn(conn)
	if err := conn.QueryRow(ctx, `SELECT current_database()`).Scan(&name); err != nil {
		return "", asError(ctx, err)
	}
	return name, nil
}

var losesData = regexp.MustCompile(`(?i)\b(DROP\s+TABLE|DROP\s+COLUMN|TRUNCATE|DELETE\s+FROM)\b`)

// refuseDataLoss records what rolling back would send and looks for statements that lose rows.
func (m *Migrator) refuseDataLoss(ctx context.Context, to int64) error {
	dry := &run{Migrator: m, to: to, down: true, plan: &recording{}}
	if _, err := dry.attempt(ctx); err != nil {
		return dry.failure(ctx, err)
	}
	i := slices.IndexFunc(dry.plan.list, func(s Statement) bool { return s.Number > 0 && losesData.MatchString(s.SQL) })
	if i < 0 {
		return nil
	}
	loss := usagef("rolling back loses data (%s): nothing was rolled back", oneLine(dry.plan.list[i].SQL))
	loss.File = dry.plan.list[i].File
	loss.Hint = "repeat it with --allow-data-loss if that is meant"
	return loss
}
