package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pressly/goose/v3/lock"
)

// RunLockID is goose's own, so that plain goose and taskmigrate keep out of each other's way.
const RunLockID = lock.DefaultLockID

// runLock is the lock that plain goose takes, too: a run has the database's migrations for itself. It
// polls, since a session that waits for an advisory lock keeps a snapshot, and an index build in the
// other run would wait for that.
type runLock struct {
	run     *run
	prepare func(context.Context, *sql.Conn) error // what comes first once the lock is there
}

// SessionLock waits for another run for at most Options.RunLockWait.
func (l runLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if l.run.plan != nil {
		return l.prepare(ctx, conn) // a plan reads beside a run
	}
	deadline := time.Now().Add(l.run.opts.RunLockWait)
	var told string
	for step := 50 * time.Millisecond; ; step = min(2*step, time.Second) {
		var locked bool
		if err := conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1)`, RunLockID).Scan(&locked); err != nil {
			return err
		}
		if locked {
			break
		}
		holder, err := l.holder(ctx, conn)
		if err != nil {
			return err
		}
		if holder != nil && time.Now().After(deadline) {
			return &Error{
				Code:    ExitLockWait,
				Message: fmt.Sprintf("another run has not finished within %s: %s", l.run.opts.RunLockWait, holder),
				Hint:    "--run-lock-wait waits longer",
			}
		}
		if holder != nil && holder.who() != told {
			l.run.opts.Log.Info("waiting for another run", "holder", holder.String())
			told = holder.who()
		}
		if err := pause(ctx, step/2+rand.N(step)); err != nil {
			return err
		}
	}
	if err := l.prepare(ctx, conn); err != nil {
		_ = l.SessionUnlock(context.WithoutCancel(ctx), conn)
		return err
	}
	return nil
}

// SessionUnlock frees the lock. Where the session is lost the lock is free already, so its errors do
// not count; it never hangs on a dead connection.
func (l runLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	if l.run.plan != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var freed bool
	_ = conn.QueryRowContext(ctx, `SELECT pg_advisory_unlock($1)`, RunLockID).Scan(&freed)
	return nil
}

// holder is whoever holds the lock, nil if that has just ended.
func (l runLock) holder(ctx context.Context, conn *sql.Conn) (*backend, error) {
	var holder backend
	row := conn.QueryRowContext(ctx, `SELECT `+backendColumns+`
FROM pg_stat_activity
WHERE pid = (
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32) | objid::bigint = $1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    LIMIT 1)`, RunLockID)
	err := row.Scan(holder.columns()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return &holder, err
}
