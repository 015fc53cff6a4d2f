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

	settle(ctx context.Context, h *held) error
	renew(ctx context.Context, take func() []held) (hs []held, lost []int64, err error)
	complete(ctx context.Context, tx pgx.Tx, h *held) error
}

// database is the store of a Run.
type database struct{ *taskstore.Store }

// settle finds out at which version a task is that is in doubt.
func (d database) settle(ctx context.Context, h *held) error {
	if h.doubt == 0 {
		return nil
	}
	row, err := d.Get(ctx, h.task.ID)
	if err == nil && row.UpdatedAt == h.doubt {
		h.at = h.doubt
	}
	if errors.Is(err, taskstore.ErrNotFound) {
		return nil // the next to present a version learns that
	}
	return err
}

// renew renews the leases that take gives it when it has a connection. It returns them, also beside an error, and
// those that are lost.
//
// It is a transaction, although one statement would do: so the new versions are known before the commit. A lost
// answer leaves a lease at one of two versions, and a look at the row tells which. If the server hears nothing more
// of the transaction, it ends it.
func (d database) renew(ctx context.Context, take func() []held) (hs []held, lost []int64, err error) {
	tx, err := d.BeginTx(ctx, pgx.TxOptions{
		BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '2s'",
	})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // of no effect after a commit
	in := database{d.WithTx(tx)}
	hs = take()
	ts := make([]taskstore.Task, len(hs))
	for i := range hs {
		if err := in.settle(ctx, &hs[i]); err != nil {
			return hs, nil, err
		}
		ts[i] = hs[i].present()
	}
	if lost, err = lostIn(in.Heartbeat(ctx, ts)); err == nil {
		err = tx.Commit(ctx)
	}
	for i, t := range ts {
		switch {
		case t.UpdatedAt == hs[i].at: // somebody has locked the row, a lost heartbeat perhaps: what was in doubt still is
		case err == nil:
			hs[i].at, hs[i].doubt = t.UpdatedAt, 0
		default:
			hs[i].doubt = t.UpdatedAt
		}
	}
	if err != nil {
		lost = nil // nobody knows
	}
	return hs, lost, err
}

// complete completes a task in tx.
func (d database) complete(ctx context.Context, tx pgx.Tx, h *held) error {
	in := database{d.WithTx(tx)}
	if err := in.settle(ctx, h); err != nil {
		return err
	}
	return in.Complete(ctx, h.present())
}

// isMisuse reports whether the Store itself refuses what it is asked for: a From that names no queue, or a Store in a
// transaction.
func isMisuse(err error) bool {
	return errors.Is(err, taskstore.ErrInvalid) && !errors.As(err, new(*pgconn.PgError))
}

// notOfRows are SQLSTATEs that say nothing of a row: connection, state, rollback, SQL, resources, shutdown, system.
var notOfRows = regexp.MustCompile(`^(08|25|40|42|53|57P|58|XX)`)

// isRefusal reports whether the server refused an end for something in the task's row: a value, a constraint, a
// trigger, a lock that was waited for too long. Others can be ended without it.
func isRefusal(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.SeverityUnlocalized == "ERROR" &&
		!errors.Is(err, taskstore.ErrUncertain) && !notOfRows.MatchString(server.Code)
}

// lostIn returns the tasks that err says are lost, or err if it says something else.
func lostIn(err error) ([]int64, error) {
	conflict := new(taskstore.ConflictError)
	if errors.As(err, &conflict) {
		return conflict.IDs, nil
	}
	return nil, err
}
