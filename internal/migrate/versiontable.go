package migrate

import (
	"cmp"
	"context"
	"database/sql"

	"github.com/pressly/goose/v3/database"
)

// HistoryTable is where the history is, unless Options name another table. Plain goose reads and writes it
// with `-table tasks_goose_version`. goose's default is not ours to take: an application may have it.
const HistoryTable = "tasks_goose_version"

// versionTable keeps the history in a table as goose makes it, with the hash of each file that was applied
// beside its version. Plain goose goes on working with the table.
type versionTable struct {
	database.Store
	run  *run
	name string // quoted
}

func newVersionTable(r *run) (*versionTable, error) {
	name := quoted(r.opts.HistoryTable)
	plain, err := database.NewStore(database.DialectPostgres, name)
	return &versionTable{Store: plain, run: r, name: name}, err
}

// TableExists keeps the Provider from creating the table, which prepare does.
func (t *versionTable) TableExists(context.Context, database.DBTxConn) (bool, error) {
	return true, nil
}

// GetMigration reads one version. A plan may ask before there is a table.
func (t *versionTable) GetMigration(
	ctx context.Context, db database.DBTxConn, version int64,
) (*database.GetMigrationResult, error) {
	if exists, err := t.exists(ctx, db); err != nil || !exists {
		return nil, cmp.Or(err, database.ErrVersionNotFound)
	}
	return t.Store.GetMigration(ctx, db, version)
}

// Insert records the migration in hand with its hash.
func (t *versionTable) Insert(ctx context.Context, db database.DBTxConn, req database.InsertRequest) error {
	_, err := db.ExecContext(asBookkeeping(ctx),
		`INSERT INTO `+t.name+` (version_id, is_applied, sha256) VALUES ($1, $2, $3)`,
		req.Version, true, t.run.file.sha256)
	return err
}

// Delete takes a migration out of the history.
func (t *versionTable) Delete(ctx context.Context, db database.DBTxConn, version int64) error {
	return t.Store.Delete(asBookkeeping(ctx), db, version)
}

// record changes the history as if the file had been run.
func (t *versionTable) record(ctx context.Context, db *sql.DB, file source, down bool) error {
	return t.inTx(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		if down {
			return t.Delete(ctx, tx, file.version)
		}
		return t.Insert(ctx, tx, database.InsertRequest{Version: file.version})
	})
}

func (t *versionTable) exists(ctx context.Context, db database.DBTxConn) (exists bool, err error) {
	err = db.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, t.name).Scan(&exists)
	return exists, err
}

// prepare creates the table if there is none.
func (t *versionTable) prepare(ctx context.Context, db *sql.DB) error {
	exists, err := t.exists(ctx, db)
	if err != nil || exists {
		return err
	}
	return t.inTx(ctx, db, t.create)
}

// create creates the table as goose does, and with the column that makes it ours.
func (t *versionTable) create(ctx context.Context, tx *sql.Tx) error {
	if err := t.CreateVersionTable(ctx, tx); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `ALTER TABLE `+t.name+` ADD COLUMN sha256 text`); err != nil {
		return err
	}
	return t.Store.Insert(ctx, tx, database.InsertRequest{Version: 0})
}

// adopt records migrations as applied, without a hash: their files were not run.
func (t *versionTable) adopt(ctx context.Context, db *sql.DB, versions []int64) error {
	return t.inTx(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		exists, err := t.exists(ctx, tx)
		if err == nil && !exists {
			err = t.create(ctx, tx)
		}
		if err != nil {
			return err
		}
		//nolint:gosec // the name is a quoted identifier
		_, err = tx.ExecContext(ctx, `
INSERT INTO `+t.name+` (version_id, is_applied)
SELECT version, true FROM unnest($1::bigint[]) AS adopted (version)
WHERE NOT EXISTS (SELECT FROM `+t.name+` WHERE version_id > 0)
ORDER BY version`, versions)
		return err
	})
}

// dropIfUnused removes the table if nothing is recorded in it, so that the database is as it was before
// the first run.
func (t *versionTable) dropIfUnused(ctx context.Context, db *sql.DB) error {
	exists, err := t.exists(ctx, db)
	if err != nil || !exists {
		return err
	}
	var used bool
	anyVersion := `SELECT EXISTS (SELECT FROM ` + t.name + ` WHERE version_id > 0)`
	if err := db.QueryRowContext(ctx, anyVersion).Scan(&used); err != nil || used {
		return err
	}
	return t.inTx(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DROP TABLE `+t.name)
		return err
	})
}

// inTx changes the table in a transaction of its own.
func (t *versionTable) inTx(ctx context.Context, db *sql.DB, do func(context.Context, *sql.Tx) error) error {
	ctx = asBookkeeping(ctx)
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if err := do(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}
