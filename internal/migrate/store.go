package migrate

import (
	"context"
	"slices"

	"github.com/pressly/goose/v3/database"
)

// store keeps the history in goose's own table, with the hash of each file that was applied beside
// its version. Plain goose goes on working with the table.
type store struct {
	database.Store
	run *run
}

func newStore(r *run) (*store, error) {
	plain, err := database.NewStore(database.DialectPostgres, versionTable)
	return &store{Store: plain, run: r}, err
}

// TableExists keeps the Provider from creating the table: it would do so before it has the run lock,
// where runners that race each other fail. See prepare.
func (s *store) TableExists(context.Context, database.DBTxConn) (bool, error) { return true, nil }

func (s *store) tableExists(ctx context.Context, db database.DBTxConn) (exists bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, versionTable).Scan(&exists)
	return exists, err
}

// ListMigrations is what the Provider decides by, so the history is judged here, and what is to do
// noted. A database without the table has the history of one with a new table.
func (s *store) ListMigrations(ctx context.Context, db database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	list := []*database.ListMigrationsResult{{Version: 0, IsApplied: true}}
	exists, err := s.tableExists(ctx, db)
	if err != nil {
		return nil, err
	}
	if exists {
		if list, err = s.Store.ListMigrations(ctx, db); err != nil {
			return nil, err
		}
	}
	var applied []int64 // newest first
	for _, m := range list {
		if m.Version > 0 {
			applied = append(applied, m.Version)
		}
	}
	if err := checkHistory(s.run.known, applied); err != nil {
		return nil, err
	}
	s.run.queue, s.run.file = s.run.work(applied), source{}
	return list, nil
}

// work lists what a run has to do where these versions are applied, newest first.
func (r *run) work(applied []int64) []source {
	if !r.down {
		return pending(r.known, applied, r.to)
	}
	var list []source
	for _, v := range applied {
		i := slices.IndexFunc(r.known, func(s source) bool { return s.version == v })
		if v > r.to && i >= 0 {
			list = append(list, r.known[i])
		}
	}
	return list
}

// Insert records the migration in hand with its hash.
func (s *store) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	return s.record(func() error {
		_, err := db.ExecContext(ctx, `INSERT INTO goose_db_version (version_id, is_applied, sha256) VALUES ($1, $2, $3)`,
			req.Version, true, s.run.file.sha256)
		return err
	})
}

// Delete takes the migration in hand out of the history.
func (s *store) Delete(ctx context.Context, db database.DBTxConn, version int64) error {
	return s.record(func() error { return s.Store.Delete(ctx, db, version) })
}

func (s *store) record(write func() error) error {
	s.run.next() // a file without statements has not been in hand yet
	s.run.keeping = true
	defer func() { s.run.keeping = false }()
	err := write()
	s.run.recorded = err == nil
	return err
}

// GetLatestVersion also answers while a plan is made for a database without the table.
func (s *store) GetLatestVersion(ctx context.Context, db database.DBTxConn) (int64, error) {
	if exists, err := s.tableExists(ctx, db); err != nil || !exists {
		return 0, err
	}
	return s.Store.GetLatestVersion(ctx, db)
}
