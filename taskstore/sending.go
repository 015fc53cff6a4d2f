package taskstore

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// sending is the DB of one write. It notes whether the statement failed before it was sent to be run, as when the
// connection breaks while pgx has it prepared: then it is certain that nothing was written.
type sending struct {
	DB

	unsent bool
}

// Query implements [dbgen.DBTX]. What pgx returns here, and not by the rows, failed before the statement was sent; but
// in the simple protocol, which sends it at once.
func (s *sending) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := s.DB.Query(ctx, sql, args...)
	if err != nil {
		conn := connOf(s.DB)
		s.unsent = conn != nil && conn.Config().DefaultQueryExecMode != pgx.QueryExecModeSimpleProtocol
	}
	return rows, err
}

// QueryRow implements [dbgen.DBTX].
func (s *sending) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := s.Query(ctx, sql, args...)
	return oneRow{rows, err}
}

// oneRow is what QueryRow of pgx returns, whose error does not say when it happened.
type oneRow struct {
	rows pgx.Rows
	err  error
}

// Scan implements [pgx.Row].
func (r oneRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close() // the rest of the answer may be an error
	return r.rows.Err()
}
