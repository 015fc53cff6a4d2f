package taskstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/dbgen"
)

// DB is what a [Store] needs of pgx. *pgxpool.Pool, *pgx.Conn and pgx.Tx satisfy it.
type DB interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
}

// Store reads and writes the tasks table. It is safe for concurrent use if its DB is, as a pool is and
// a connection is not.
//
// Each method is one transaction of its own, committed when the method returns without an error. On a
// Store over a pgx.Tx (see [Store.WithTx]) the caller commits.
type Store struct {
	db   DB
	q    *dbgen.Queries
	inTx bool
}

// New returns a Store over db.
func New(db DB) *Store {
	_, inTx := db.(pgx.Tx)
	return &Store{db: db, q: dbgen.New(db), inTx: inTx}
}

// WithTx returns a Store with the same methods inside tx, which the caller commits or rolls back. An
// error of the database leaves tx aborted, as always in PostgreSQL: roll it back.
func (s *Store) WithTx(tx pgx.Tx) *Store {
	c := *s
	c.db, c.q, c.inTx = tx, s.q.WithTx(tx), true
	return &c
}

// Back-off between attempts of [Store.retry]: the upper bound of a random wait.
const (
	firstBackoff = 2 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
)

// retry runs f again for as long as it fails by deadlock or serialization failure and ctx lasts. Both
// mean that the server rolled the statement back whole, so that doing it again does it once. Inside a
// caller's transaction only the caller can start over, so there f runs once.
func (s *Store) retry(ctx context.Context, f func() error) error {
	once := s.inTx
	if conn, ok := s.db.(*pgx.Conn); ok && conn.PgConn().TxStatus() != 'I' {
		once = true // the caller sent BEGIN by hand
	}
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := f()
		if once || !isTransient(err) {
			return err
		}
		timer := time.NewTimer(rand.N(backoff)) //nolint:gosec // jitter needs no secrecy
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		case <-timer.C:
		}
	}
}
