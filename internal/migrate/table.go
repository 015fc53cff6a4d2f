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
	var ready bool
	const hasColumn = `SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'sha256' AND NOT attisdropped)`
	if err := conn.QueryRowContext(ctx, hasColumn, versionTable).Scan(&ready); err != nil || ready {
		return err
	}
	return s.inTx(ctx, conn, func(tx *sql.Tx) error {
		if err := s.create(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `ALTER TABLE goose_db_version ADD COLUMN IF NOT EXISTS sha256 text`)
		return err
	})
}

// create creates the table as goose does, if there is none.
func (s *store) create(ctx context.Context, tx *sql.Tx) error {
	exists, err := s.tableExists(ctx, tx)
	if err != nil || exists {
		return err
	}
	if err := s.CreateVersionTable(ctx, tx); err != nil {
		return err
	}
	return s.Store.Insert(ctx, tx, database.InsertRequest{Version: 0})
}

// adopt records the first migration as applied, without a hash: its file was not run.
func (s *store) adopt(ctx context.Context, conn *sql.Conn) error {
	return s.inTx(ctx, conn, func(tx *sql.Tx) error {
		if err := s.create(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
INSERT INTO goose_db_version (version_id, is_applied)
SELECT $1, true WHERE NOT EXISTS (SELECT FROM goose_db_version WHERE version_id > 0)`, s.run.known[0].version)
		return err
	})
}

// drop removes the table if nothing is recorded in it, so that the database is as it was before the
// first run.
func (s *store) drop(ctx context.Context, conn *sql.Conn) error {
	exists, err := s.tableExists(ctx, conn)
	if err != nil || !exists {
		return err
	}
	var used bool
	const anyVersion = `SELECT EXISTS (SELECT FROM goose_db_version WHERE version_id > 0)`
	if err := conn.QueryRowContext(ctx, anyVersion).Scan(&used); err != nil || used {
		return err
	}
	return s.inTx(ctx, conn, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DROP TABLE goose_db_version`)
		return err
	})
}

// locked does something under the run lock that is no migration.
func (s *store) locked(ctx context.Context, db *sql.DB, do func(context.Context, *sql.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	guard := runLock{run: s.run, prepare: do}
	if err := guard.SessionLock(ctx, conn); err != nil {
		return err
	}
	return guard.SessionUnlock(context.WithoutCancel(ctx), conn)
}

// inTx writes the history in a transaction of its own.
func (s *store) inTx(ctx context.Context, conn *sql.Conn, do func(*sql.Tx) error) error {
	s.run.keeping = true
	defer func() { s.run.keeping = false }()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
