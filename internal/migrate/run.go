package migrate

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/tasklane/tasks/internal/connect"
	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// run is one pass over the database, in one direction.
type run struct {
	*Migrator
	to     int64
	down   bool
	script *script // not nil: statements are added to it, and none is sent

	unadopted bool // somebody else's table, of which a plan tells what Up sends once it is adopted

	file    fileInHand
	stopped fileInHand              // where the attempt before this one stopped
	took    map[int64]time.Duration // how long each migration of this run took, by version
}

// fileInHand is the migration that a run is working on, and how far it has come. The zero value: none.
type fileInHand struct {
	source
	statement  int    // counted from 1; 0: none yet
	outsideTx  bool   // the file runs without a transaction
	indexes    string // the table's indexes before the file
	partlyDone bool   // the file has committed some of its work
	read       int64  // rows that its back-fill has gone through
	through    bool   // its back-fill has come to the end
}

func (m *Migrator) newRun(to int64, down bool) *run {
	return &run{Migrator: m, to: to, down: down, took: map[int64]time.Duration{}}
}

// step is one migration that a run has to do.
type step struct {
	source
	onlyRecord bool // its work is there already, or is not to be undone: only the history changes
}

// todo reads where things stand and lists what the run has to do, in that order. It refuses a history
// that cannot be continued and, on the way up, a table that somebody else created. A plan goes on as if
// that had been adopted.
func (r *run) todo(ctx context.Context, conn *pgx.Conn) (list []Migration, todo []step, err error) {
	// In this order: another runner may be about to create the table, and commits its record with it.
	var exists bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass('tasks') IS NOT NULL`).Scan(&exists); err != nil {
		return nil, nil, asError(ctx, err)
	}
	history, err := r.readHistory(ctx, conn)
	if err != nil {
		return nil, nil, asError(ctx, err)
	}
	list = states(r.known, history)
	if err := r.checkHistory(history); err != nil {
		return list, nil, err
	}
	if r.unadopted = exists && len(history) == 0 && !r.down; r.unadopted && r.script == nil {
		return list, nil, &Error{
			Kind:    Unmanaged,
			Message: "there is a table tasks that no migration has created; nothing was changed",
			Hint:    "`taskmigrate adopt` compares it with the documented one and takes it over",
		}
	}
	if !exists && !r.down {
		if err := r.home.refuseSecondTable(); err != nil {
			return list, nil, err
		}
	}
	var stage int64 // what adopt will have recorded
	if r.unadopted {
		live, err := catalog.Read(ctx, conn)
		if err != nil {
			return list, nil, asError(ctx, err)
		}
		if stage, _, err = r.judgeStage(live); err != nil {
			return list, nil, asError(ctx, err)
		}
	}
	for i, s := range r.known {
		applied := isApplied(history, s.version)
		switch {
		case r.down && applied && s.version > r.to:
			todo = append(todo, step{source: s, onlyRecord: i == 0 && isAdopted(history, s.version)})
		case !r.down && !applied && s.version <= r.to && s.version > stage:
			there, err := isThere(ctx, conn, s)
			if err != nil {
				return list, nil, asError(ctx, err)
			}
			todo = append(todo, step{source: s, onlyRecord: there})
		}
	}
	if r.down {
		slices.Reverse(todo)
	}
	return list, todo, nil
}

// migrate attempts the run until it is through or its retries are used up. Only a lock that was not
// granted, or a deadlock, is tried again: the file in hand was rolled back, or can be repeated.
func (r *run) migrate(ctx context.Context) error {
	for retry := 0; ; retry++ {
		err := r.attempt(ctx)
		if err == nil {
			return nil
		}
		failure := r.failure(ctx, err)
		r.stopped = r.file
		if !lockRefused(err) || ctx.Err() != nil {
			return failure
		}
		if retry == r.opts.LockRetries {
			if failure.Kind != HalfDone {
				failure.Kind = LockWait
			}
			return failure
		}
		delay := backOff(retry, r.opts.LockTimeout)
		r.opts.Log.Warn("the lock was not granted, trying again",
			"file", failure.File, "statement", failure.Statement, "sqlstate", failure.SQLState,
			"retry", retry+1, "of", r.opts.LockRetries, "in", delay.Round(time.Millisecond))
		if pause(ctx, delay) != nil {
			return r.failure(ctx, err) // which is the interrupt now
		}
	}
}

// attempt goes through the list of what is to do, under the run lock. All of it happens on one session,
// which holds that lock.
func (r *run) attempt(ctx context.Context) error {
	db := r.open()
	defer func() { _ = db.Close() }()
	table, err := newVersionTable(r)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectCustom, db, r.opts.FS,
		goose.WithStore(table), goose.WithSessionLocker(sessionLocker{r}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	r.file = fileInHand{}
	return r.locked(ctx, db, func() error {
		var todo []step
		err := onSession(ctx, db, func(ctx context.Context, conn *pgx.Conn) (err error) {
			_, todo, err = r.todo(ctx, conn)
			return err
		})
		if err != nil {
			return err
		}
		if len(todo) > 0 && !r.down && !r.unadopted {
			if err := table.prepare(ctx, db); err != nil {
				return err
			}
		}
		for _, file := range todo {
			if err := r.apply(ctx, db, table, provider, file); err != nil {
				return err
			}
		}
		if r.down && r.to == 0 {
			return table.dropIfUnused(ctx, db)
		}
		return nil
	})
}

// apply runs one migration.
func (r *run) apply(
	ctx context.Context, db *sql.DB, table *versionTable, provider *goose.Provider, file step,
) error {
	r.opts.Log.Debug("migrating", "file", file.name, "down", r.down, "only_record", file.onlyRecord)
	r.file = fileInHand{source: file.source}
	if file.onlyRecord {
		if err := table.record(ctx, db, file.source, r.down); err != nil {
			return err
		}
		r.took[file.version] = 0
		r.file = fileInHand{}
		return nil
	}
	err := onSession(ctx, db, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, indexes).Scan(&r.file.indexes)
	})
	if err != nil {
		return err
	}
	if r.stopped.version == file.version { // what is half-done counts from the first attempt on
		r.file.indexes, r.file.partlyDone = r.stopped.indexes, r.stopped.partlyDone
	}
	result, err := provider.ApplyVersion(ctx, file.version, !r.down)
	switch {
	case errors.Is(err, goose.ErrAlreadyApplied), errors.Is(err, goose.ErrNotApplied):
		// Another run did it: this one had lost its session, and the lock with it.
	case err != nil:
		return err
	default:
		r.took[file.version] = result.Duration
	}
	r.file = fileInHand{}
	return nil
}

// failure says where the run stopped and whether something may be half-done.
func (r *run) failure(ctx context.Context, err error) *Error {
	failure := *asError(ctx, err)
	if r.file.name != "" {
		failure.File, failure.Statement = r.file.name, r.file.statement
		if failure.SQLState == duplicateTable {
			failure.Hint = "rename what has that name, or have tasks in a schema of its own: --schema NAME"
		}
		if r.halfDone(ctx) {
			failure.Kind = HalfDone
		}
	}
	return &failure
}

// lockRefused reports a lock timeout or a deadlock.
func lockRefused(err error) bool {
	if own, ok := errors.AsType[*Error](err); ok && own.Kind == LockWait {
		return false // outside a transaction the limit is for all of the wait
	}
	code := connect.SQLState(err)
	return code == lockNotAvailable || code == deadlockDetected
}

const (
	lockNotAvailable = "55P03"
	deadlockDetected = "40P01"
	duplicateTable   = "42P07" // or index
)

// backOff doubles from 100 ms to 10 s, and is at least what the attempt may have waited: those who queued
// behind it get as much time as they have lost. Half as much again, by chance, keeps a retry out of step
// with whoever held the lock.
func backOff(retry int, waited time.Duration) time.Duration {
	step := max(min(100*time.Millisecond<<min(retry, 10), 10*time.Second), waited)
	return step + rand.N(step/2)
}

const invalid = "INVALID"

// indexes reads the table's indexes and which of them are not valid, although nobody is building one: a
// build holds its lock to its end.
const indexes = `
SELECT coalesce(string_agg(concat_ws(' ', indexrelid, CASE WHEN NOT indisvalid AND NOT EXISTS (
    SELECT FROM pg_locks WHERE relation = indrelid AND mode = 'ShareUpdateExclusiveLock' AND granted
) THEN '` + invalid + `' END), ', ' ORDER BY indexrelid), '')
FROM pg_index WHERE indrelid = to_regclass('tasks')`

// halfDone tells whether the failed file has left something half-done. A file that runs in a transaction
// leaves nothing. Any other may leave an invalid index, some indexes of several, or part of a back-fill. If
// that cannot be seen, the answer is yes.
func (r *run) halfDone(ctx context.Context) bool {
	if !r.file.outsideTx || r.file.partlyDone {
		return r.file.partlyDone
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	conn, _, err := r.withoutWait().connect(ctx)
	if err != nil {
		return true
	}
	defer closeConn(conn)
	var after string
	err = conn.QueryRow(ctx, indexes).Scan(&after)
	return err != nil || after != r.file.indexes || strings.Contains(after, invalid)
}

// withoutWait is for a look at a server that may have gone.
func (m *Migrator) withoutWait() *Migrator {
	now := *m
	now.opts.Wait = 0
	return &now
}
