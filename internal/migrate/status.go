package migrate

import "context"

// Status tells which migrations are applied, pending or unknown to this binary, and which applied
// files have changed since. It only reads, takes no lock beyond those of a SELECT, and works in a
// read-only session and on a database that goose has never seen.
func (m *Migrator) Status(ctx context.Context) ([]Migration, []Finding, error) {
	history, err := m.history(ctx)
	if err != nil {
		return nil, nil, err
	}
	return states(m.known, history), changed(m.known, history), nil
}
