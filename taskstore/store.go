package taskstore

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
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
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// Store reads and writes the tasks table. It is safe for concurrent use if its DB is, as a pool is and
// a connection is not.
//
// Each method has committed when it returns without an error. On a Store over a pgx.Tx (see
// [Store.WithTx]) the caller commits.
type Store struct {
	db       DB
	q        *dbgen.Queries // over db
	inTx     bool
	prepares bool // db prepares statements by name
	citus    bool
	log      *slog.Logger
	creates  *group        // nil: no Create shares a statement
	marks    *marks        // where pending tasks begin
	ring     *ring         // integrations in turn
	poison   *poison       // tasks that refuse to be changed
	arrivals *arrivals     // tasks that become pending
	ahead    *ahead        // tasks that never seem silent
	swept    *atomic.Int64 // the id at which DeleteFinished goes on
	anchors  *anchors      // shards with pending tasks, on Citus
}

// Option changes how a [Store] works.
type Option func(*Store)

// WithCitus is for a table that schema/citus.sql has distributed, over its coordinator. A claim then goes from shard to
// shard: it takes the oldest tasks of a shard, beginning with shards that hold the oldest of all. Upkeep goes from
// shard to shard, too, each in a transaction of its own. Concurrent Creates share nothing. Tables that you write in
// one transaction with tasks have to be known to Citus, or it may commit the one and lose the other. See
// docs/citus.md.
func WithCitus() Option { return func(s *Store) { s.citus = true } }

// WithGroupCommit says whether concurrent calls of Create may share statements, and so commits (see
// docs/performance.md). By default they do where nobody can notice but by speed: over a *pgxpool.Pool whose config has
// no hook and no tracer that sees the context of each call. A shared statement has the context values of one of
// its calls, so with a hook that sets a tenant it would store another tenant's row.
func WithGroupCommit(on bool) Option {
	return func(s *Store) {
		connections := maxApart
		if pool, ok := s.db.(*pgxpool.Pool); ok {
			connections = int(pool.Config().MaxConns)
		}
		if s.creates = nil; on {
			s.creates = newGroup(s.createAlone, s.createShared, connections)
		}
	}
}

// WithLogger has the Store tell l what it dealt with by itself and nobody would learn of otherwise: a deadlock
// or serialization failure that it tries again after (warning, with the SQLSTATE and the number of the
// attempt), a call that returns fewer tasks because of an error, and a task that refuses to be changed (warnings).
// Nothing is logged without it, and never an argument.
func WithLogger(l *slog.Logger) Option {
	return func(s *Store) { s.log = cmp.Or(l, s.log) }
}

// New returns a Store over db. Use one Store for all goroutines of a program: it remembers where the
// pending tasks begin.
func New(db DB, opts ...Option) *Store {
	_, inTx := db.(pgx.Tx)
	s := &Store{
		db: db, q: dbgen.New(db), inTx: inTx, prepares: prepares(db), log: slog.New(slog.DiscardHandler),
		marks: newMarks(), ring: new(ring), poison: newPoison(), arrivals: newArrivals(), ahead: newAhead(),
		swept: new(atomic.Int64), anchors: newAnchors(),
	}
	s.swept.Store(bottom)
	WithGroupCommit(isPlainPool(db))(s)
	for _, opt := range opts {
		opt(s)
	}
	if s.citus {
		s.creates = nil
	}
	return s
}

// WithTx returns a Store with the same methods inside tx, which the caller commits or rolls back. An
// error of the database leaves tx aborted, as always in PostgreSQL: roll it back.
func (s *Store) WithTx(tx pgx.Tx) *Store {
	c := *s
	c.db, c.q, c.inTx, c.creates = tx, dbgen.New(tx), true, nil
	return &c
}

// BeginTx starts a transaction on what the Store is over, for [Store.WithTx]. A Store in a transaction cannot: that is
// ErrInvalid.
func (s *Store) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	db, ok := s.db.(interface {
		BeginTx(context.Context, pgx.TxOptions) (pgx.Tx, error)
	})
	if !ok {
		return nil, fail(invalid("a %T cannot begin one: give the Store a *pgxpool.Pool", s.db), "begin a transaction")
	}
	tx, err := db.BeginTx(ctx, options)
	return tx, fail(err, "begin a transaction")
}

// isPlainPool reports whether db is a pool of which no part sees the context of a call.
func isPlainPool(db DB) bool {
	pool, ok := db.(*pgxpool.Pool)
	if !ok {
		return false
	}
	c := pool.Config()
	acquires := c.BeforeAcquire != nil || c.PrepareConn != nil //nolint:staticcheck // pgx heeds the deprecated one, too
	return !acquires && c.AfterRelease == nil && c.ConnConfig.Tracer == nil
}

// inTransaction reports whether the caller commits: by a pgx.Tx, or by a BEGIN that it sent by hand.
func (s *Store) inTransaction() bool {
	if s.inTx {
		return true
	}
	conn := connOf(s.db)
	return conn != nil && conn.PgConn().TxStatus() != 'I'
}

// connOf returns the connection that db is or is bound to, or nil if there is none.
func connOf(db DB) *pgx.Conn {
	switch db := db.(type) {
	case *pgx.Conn:
		return db
	case interface{ Conn() *pgx.Conn }: // a connection of a pool, or a transaction
		return db.Conn()
	}
	return nil
}

// read runs one statement that changes nothing.
func read[T any](ctx context.Context, s *Store, f func(*dbgen.Queries) (T, error)) (T, error) {
	return retry(ctx, s, func() (T, error) { return f(s.q) })
}

// write runs one statement that changes rows. Of its errors, those after which nobody knows whether it was done become
// ErrUncertain. With a pool it takes the connection itself: an error before it has one is a certain one.
func write[T any](ctx context.Context, s *Store, f func(DB) (T, error)) (T, error) {
	return retry(ctx, s, func() (v T, err error) {
		if err := ctx.Err(); err != nil { // a DB of somebody's own would not tell that it sent nothing
			return v, err
		}
		db := s.db
		if pool, ok := db.(*pgxpool.Pool); ok {
			conn, err := pool.Acquire(ctx)
			if err != nil {
				return v, err
			}
			defer conn.Release()
			db = conn
		}
		statement := &sending{DB: db}
		uncertain := func() bool { return mayBeDone(err, connOf(db)) || s.citus && !s.inTx && isCutShort(err) }
		if v, err = f(statement); err != nil && !statement.unsent && uncertain() {
			err = &uncertainError{err}
		}
		return v, err
	})
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
			return v, s.aboutCitus(err)
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
