package migrate

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// run is one pass of goose's Provider over the database, in one direction. It knows which statement
// of which file is in hand, which the Provider does not tell.
type run struct {
	*Migrator
	to   int64
	down bool
	plan *recording // not nil: statements are recorded and none is executed

	queue     []source // what is to do after the file in hand
	file      source   // the file in hand; zero: none yet
	statement int      // of that file, counted from 1; 0: none yet
	recorded  bool     // the file in hand is in the history
	keeping   bool     // the statement is the history's own, not a migration's

	patient bool   // the file in hand runs without a transaction
	indexes string // the table's indexes before that file
	partly  bool   // that file has committed part of its work
}

// next takes the next file in hand if the one before it is recorded.
func (r *run) next() {
	if len(r.queue) > 0 && (r.file.name == "" || r.recorded) {
		r.file, r.queue = r.queue[0], r.queue[1:]
		r.statement, r.recorded = 0, false
		r.patient, r.partly = false, false
		r.opts.Log.Debug("next", "file", r.file.name)
	}
}

// attempt runs the Provider once. Sessions end with it, and so does the run lock.
func (r *run) attempt(ctx context.Context) ([]*goose.MigrationResult, error) {
	db := sql.OpenDB(connector{run: r})
	defer func() { _ = db.Close() }()
	history, err := newStore(r)
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, r.opts.FS,
		goose.WithStore(history),
		goose.WithSessionLocker(runLock{run: r, prepare: history.prepare}),
		goose.WithDisableGlobalRegistry(true),
	)
	if err != nil {
		return nil, err
	}
	if r.down {
		results, err := provider.DownTo(ctx, r.to)
		if err == nil && r.to == 0 {
			err = history.locked(ctx, db, history.drop)
		}
		return results, err
	}
	return provider.UpTo(ctx, r.to)
}

// migrate attempts the run until it is through or its retries are used up. Only a lock that was not to
// be had, or a deadlock, is tried again: the file in hand was rolled back, or can be repeated.
func (r *run) migrate(ctx context.Context) ([]*goose.MigrationResult, error) {
	var done []*goose.MigrationResult
	for retry := 0; ; retry++ {
		results, err := r.attempt(ctx)
		if partial, ok := errors.AsType[*goose.PartialError](err); ok {
			results = partial.Applied
		}
		done = append(done, results...)
		if err == nil {
			return done, nil
		}
		failure := r.failure(ctx, err)
		if !lockRefused(err) || ctx.Err() != nil {
			return done, failure
		}
		if retry == r.opts.LockRetries {
			if failure.Code != ExitHalfDone {
				failure.Code = ExitLockWait
			}
			return done, failure
		}
		delay := backOff(retry)
		r.opts.Log.Warn("lock not to be had, trying again", "file", failure.File, "statement", failure.Statement,
			"sqlstate", failure.SQLState(), "retry", retry+1, "of", r.opts.LockRetries, "in", delay.Round(time.Millisecond))
		if err := pause(ctx, delay); err != nil {
			return done, failure
		}
	}
}

// failure says where the run stopped and whether something may be half-done.
func (r *run) failure(ctx context.Context, err error) *Error {
	failure := *asError(ctx, err)
	partial, ok := errors.AsType[*goose.PartialError](err)
	if !ok {
		return &failure
	}
	failure.File, failure.Statement = partial.Failed.Source.Path, r.statement
	if r.halfDone(ctx) {
		failure.Code = ExitHalfDone
	}
	return &failure
}

// lockRefused reports a lock timeout or a deadlock.
func lockRefused(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (server.Code == "55P03" || server.Code == "40P01")
}

// backOff doubles from 100 ms to 10 s, give or take a half, so that a retry does not keep in step with
// what was in its way.
func backOff(retry int) time.Duration {
	step := min(100*time.Millisecond<<min(retry, 10), 10*time.Second)
	return step/2 + rand.N(step)
}
