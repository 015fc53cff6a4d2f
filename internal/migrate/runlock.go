package migrate

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// locked holds the run lock while do works on the session of db. The lock is the session's and counts
// how often it was taken: goose takes it once more for each version.
func (r *run) locked(ctx context.Context, db *sql.DB, do func() error) error {
	if err := onSession(ctx, db, r.lock); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = onSession(ctx, db, r.unlock)
	}()
	return do()
}

// sessionLocker is how goose takes the run lock. On a session that holds it already this is at once; one
// that was opened in place of a lost one may have to wait.
type sessionLocker struct{ run *run }

func (l sessionLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	return lend(ctx, conn, l.run.lock)
}

func (l sessionLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	return lend(ctx, conn, l.run.unlock)
}

// lock waits for another run for at most Options.RunLockWait. It polls: a session that waits for an
// advisory lock keeps a snapshot, and an index build in the other run would wait for that.
func (r *run) lock(ctx context.Context, conn *pgx.Conn) error {
	if r.script != nil {
		return nil // a plan reads beside a run
	}
	deadline := time.Now().Add(r.opts.RunLockWait)
	var logged string
	for step := 50 * time.Millisecond; ; step = min(2*step, time.Second) {
		var locked bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, r.home.lockID()).Scan(&locked)
		if err != nil || locked {
			return err
		}
		holders, err := backends(ctx, conn, lockHolder, r.home.lockID())
		if err != nil {
			return err
		}
		if len(holders) > 0 { // else it has just ended
			if time.Now().After(deadline) {
				return &Error{
					Kind:    RunBusy,
					Message: fmt.Sprintf("another run has not finished within %s: %s", r.opts.RunLockWait, holders[0]),
				}
			}
			if doing := holders[0].doing(); doing != logged {
				r.opts.Log.Info("waiting for another run", "holder", holders[0].String())
				logged = doing
			}
		}
		if err := pause(ctx, step/2+rand.N(step)); err != nil {
			return err
		}
	}
}

// unlock frees the lock. Where the session is lost the lock is free already, so its errors do not count;
// it never hangs on a dead connection.
func (r *run) unlock(ctx context.Context, conn *pgx.Conn) error {
	if r.script != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, _ = conn.Exec(ctx, `SELECT pg_advisory_unlock($1)`, r.home.lockID())
	return nil
}
