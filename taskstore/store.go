package taskstore

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

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
	db          DB
	q           *dbgen.Queries
	inTx        bool
	prepares    bool // db prepares statements by name
	log         *slog.Logger
	optimistic  bool
	groupCommit bool     // of leases, too
	alone       bool     // no group commit at all
	marks       *marks   // where pending tasks begin
	swept       *sweeper // where DeleteFinished goes on
	groups
}

// Option changes how a [Store] works.
type Option func(*Store)

// WithOptimisticClaims makes claims take no row locks, for engines that refuse them across shards
// (Citus). Workers that pick the same tasks then wait for each other instead of passing by, so a claim
// may return fewer tasks than there are; it still never returns a task to two of them.
func WithOptimisticClaims() Option { return func(s *Store) { s.optimistic = true } }

// WithGroupCommit makes concurrent calls of Heartbeat, Complete, Fail and Release for a few tasks each
// share statements too, as those of Create do by themselves. It is for workers that work on tasks one by one,
// dozens in a program; with few it is slower. It is not the default, since a task whose row another
// transaction has locked then delays the calls that share its statement: an insert hardly ever waits for a
// row, an update may.
func WithGroupCommit() Option {
	return func(s *Store) { s.alone, s.groupCommit = false, true }
}

// WithoutGroupCommit gives each call of Create a statement of its own, too. It is for a DB that takes something
// from the context of each call, such as a tenant or a user for an audit: a shared statement has the context
// values of one of its calls.
func WithoutGroupCommit() Option {
	return func(s *Store) { s.alone, s.groupCommit = true, false }
}

// WithLogger has the Store tell l what it dealt with by itself and nobody would learn of otherwise: a deadlock
// or serialization failure that it tries again after (warning, with the SQLSTATE and the number of the
// attempt), and a claim that returns fewer tasks because of an error (warning). Nothing is logged without it, and
// never an argument.
func WithLogger(l *slog.Logger) Option {
	return func(s *Store) { s.log = cmp.Or(l, s.log) }
}

// New returns a Store over db. Use one Store for all goroutines of a program: it remembers where the
// pending tasks begin.
func New(db DB, opts ...Option) *Store {
	_, inTx := db.(pgx.Tx)
	s := &Store{
		db: db, q: dbgen.New(db), inTx: inTx, prepares: prepares(db), log: slog.New(slog.DiscardHandler),
		marks: newMarks(), swept: new(sweeper),
	}
	s.groups = newGroups(s)
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// WithTx returns a Store with the same methods inside tx, which the caller commits or rolls back. An
// error of the database leaves tx aborted, as always in PostgreSQL: roll it back.
func (s *Store) WithTx(tx pgx.Tx) *Store {
	c := *s
	c.db, c.q, c.inTx = tx, s.q.WithTx(tx), true
	return &c
}

// inTransaction reports whether the caller commits: by a pgx.Tx, or by a BEGIN that it sent by hand.
func (s *Store) inTransaction() bool {
	if s.inTx {
		return true
	}
	conn := connOf(s.db)
	return conn != nil && conn.PgConn().TxStatus() != 'I'
}

// connOf returns the connection that db is, or nil if it is something else.
func connOf(db DB) *pgx.Conn {
	switch db := db.(type) {
	case *pgx.Conn:
		return db
	case *pgxpool.Conn:
		return db.Conn()
	}
	return nil
}

// Back-off between attempts of retry: the upper bound of a random wait.
const (
	firstBackoff = 2 * time.Millisecond
	maxBackoff   = 250 * time.Millisecond
)

// retry runs f again for as long as it fails by deadlock or serialization failure and ctx lasts. Both
// mean that the server rolled the statement back whole, so that doing it again does it once. Inside a
// caller's transaction only the caller can start over, so there f runs once.
func retry[T any](ctx context.Context, s *Store, f func() (T, error)) (T, error) {
	once := s.inTransaction()
	for attempt, backoff := 1, firstBackoff; ; attempt, backoff = attempt+1, min(2*backoff, maxBackoff) {
		v, err := f()
		if once || !isTransient(err) {
			return v, err
		}
		s.log.WarnContext(ctx, "taskstore: rolled back for the sake of another transaction, trying again",
			"sqlstate", sqlState(err), "attempt", attempt)
		timer := time.NewTimer(rand.N(backoff))
		select {
		case <-ctx.Done():
			timer.Stop()
			return v, fmt.Errorf("%w, after %w", ctx.Err(), err)
		case <-timer.C:
		}
	}
}
