package taskwork

import (
	"context"
	"errors"
	"regexp"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/taskstore"
)

// store is what an owner needs of the database.
type store interface {
	Exchange(ctx context.Context, e taskstore.Ended, f taskstore.Filter, n int) ([]taskstore.Task, error)
	ClaimFair(ctx context.Context, n int) ([]taskstore.Task, error)
	Failures(ctx context.Context, ids ...int64) (map[int64]taskstore.LastFailure, error)
	RequeueStale(ctx context.Context, f taskstore.Filter, silentFor time.Duration, limit int) ([]int64, error)
	RetryDue(ctx context.Context, f taskstore.Filter, limit int) ([]int64, error)
	Arrival() <-chan struct{}

	renew(ctx context.Context, leases []*lease) (hs []held, lost []int64, err error)
	complete(ctx context.Context, tx pgx.Tx, t taskstore.Task) error
}

// database is the store of a Run.
type database struct{ *taskstore.Store }

// renew renews leases, but for those whose version somebody else has. It returns what it took, also beside an error,
// and the tasks that were not at the version that was presented.
//
// It takes the versions when it has a connection: a handler may wait for one of them and have the pool's last.
// It is a transaction, although one statement would do: so the new versions are known before the commit, and a lost
// answer leaves a lease at one of two. If the server hears nothing more of the transaction, it ends it.
func (d database) renew(ctx context.Context, leases []*lease) (hs []held, lost []int64, err error) {
	tx, err := d.BeginTx(ctx, pgx.TxOptions{
		BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '2s'",
	})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // of no effect after a commit
	var ts []taskstore.Task
	for _, l := range leases {
		if h, ok := l.take(); ok {
			hs, ts = append(hs, h), append(ts, h.present())
		}
	}
	if lost, err = lostIn(d.WithTx(tx).Heartbeat(ctx, ts)); err == nil {
		err = tx.Commit(ctx)
	}
	for i, t := range ts {
		switch old := hs[i].versions[0]; {
		case t.UpdatedAt == old: // lost, or somebody has locked the row, a lost heartbeat perhaps
		case err == nil:
			hs[i].versions = versions{t.UpdatedAt}
		default:
			hs[i].versions = versions{old, t.UpdatedAt}
		}
	}
	return hs, lost, err
}

// complete completes a task in tx.
func (d database) complete(ctx context.Context, tx pgx.Tx, t taskstore.Task) error {
	return d.WithTx(tx).Complete(ctx, t)
}

// lostIn returns the tasks that err says are lost, or err if it says something else.
func lostIn(err error) ([]int64, error) {
	if conflict, ok := errors.AsType[*taskstore.ConflictError](err); ok {
		return conflict.IDs, nil
	}
	return nil, err
}

func isConflict(err error) bool {
	lost, _ := lostIn(err)
	return len(lost) > 0
}

// locked reports whether the database did not answer in time: somebody has locked a row, most likely.
func locked(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// notOfRows are SQLSTATEs that say nothing of a row: connection, state, rollback, SQL, resources, shutdown, system.
var notOfRows = regexp.MustCompile(`^(08|25|40|42|53|57P|58|XX)`)

// refused reports whether the server refused an end for something in the task's row: a value, a constraint, a
// trigger, a lock that was waited for too long. Others can be ended without it.
func refused(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && server.SeverityUnlocalized == "ERROR" &&
		!errors.Is(err, taskstore.ErrUncertain) && !notOfRows.MatchString(server.Code)
}
