package migrate

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3/database"
)

// prepare creates the table, or gives one that plain goose made the column for the hashes. It runs
// under the run lock.
func (s *store) prepare(ctx context.Context, conn *sql.Conn) error {
	if s.run.down {
		return nil
	}
	exists, err := s.tableExists(ctx, conn)
	if err != nil {
		return err
	}
	var ready bool
	const hasColumn = `SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'sha256' AND NOT attisdropped)`
	if err := conn.QueryRowContext(ctx, hasColumn, versionTable).Scan(&ready); err != nil || ready {
		return err
	}
	s.run.keeping = true
	defer func() { s.run.keeping = false }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if !exists {
		if err := s.CreateVersionTable(ctx, tx); err != nil {
			return err
		}
		if err := s.Store.Insert(ctx, tx, database.InsertRequest{Version: 0}); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `ALTER TABLE goose_db_version ADD COLUMN IF NOT EXISTS sha256 text`); err != nil {
		return err
	}
	return tx.Commit()
}

// drop removes the table if nothing is recorded in it, so that the database is as it was before the
// first run.
func (s *store) drop(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	guard := runLock{run: s.run, prepare: s.prepare}
	if err := guard.SessionLock(ctx, conn); err != nil {
		return err
	}
	defer func() { _ = guard.SessionUnlock(context.WithoutCancel(ctx), conn) }()
	exists, err := s.tableExists(ctx, conn)
	if err != nil || !exists {
		return err
	}
	var used bool
	if err := conn.QueryRowContext(ctx, `SELECT EXISTS (SELECT FROM goose_db_version WHERE version_id > 0)`).Scan(&used); err != nil || used {
		return err
	}
	s.run.keeping = true
	defer func() { s.run.keeping = false }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, `DROP TABLE goose_db_version`); err != nil {
		return err
	}
	return tx.Commit()
}
