package taskwork

import (
	"context"
	"errors"
	"regexp"
	"slices"
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
	Arrival(from ...taskstore.Filter) (arrived <-chan struct{}, stop func())

	renew(ctx context.Context, leases []*lease) (renewed, lost []*lease, err error)
	complete(ctx context.Context, tx pgx.Tx, t taskstore.Task) error
}

// database is the store of a Run.
type database struct{ *taskstore.Store }

// renew renews leases, but for those whose token somebody else has or whose row is locked, and returns those that it
// renewed and those that are lost.
//
// It takes the tokens when it has a connection: a handler may wait for one and have the pool's last connection. It is a
// transaction, although one statement would do: so the new versions are known before the commit, and a lost answer
// leaves a lease at one of two. If the server hears nothing more of the transaction, it ends it.
func (d database) renew(ctx context.Context, leases []*lease) (renewed, lost []*lease, err error) {
	tx, err := d.BeginTx(ctx, pgx.TxOptions{
		BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '2s'",
	})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }() // of no effect after a commit; closes the connection if it is not answered
	var held []*lease
	var ts []taskstore.Task
	for _, l := range leases {
		if l.take() {
			defer l.giveBack()
			held, ts = append(held, l), append(ts, l.present())
		}
	}
	gone, err := lostIn(d.WithTx(tx).Heartbeat(ctx, ts))
	if err == nil {
		err = tx.Commit(ctx)
	}
	for i, l := range held {
		switch old := l.versions[0]; {
		case slices.Contains(gone, l.task.ID):
			if !l.advance() {
				lost = append(lost, l)
			}
		case ts[i].UpdatedAt == old: // somebody has locked the row, a heartbeat without answer perhaps
		case err == nil:
			l.versions = []taskstore.Millis{ts[i].UpdatedAt}
			renewed = append(renewed, l)
		default:
			l.versions = []taskstore.Millis{old, ts[i].UpdatedAt}
		}
	}
	return renewed, lost, err
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

func isConflict(err error) bool { return errors.As(err, new(*taskstore.ConflictError)) }

// delaying reports whether an end is to be sent again later: the server does not take it now, or did not answer in
// time, maybe since somebody has locked a row.
func delaying(err error) bool { return notNow(err) || errors.Is(err, context.DeadlineExceeded) }

// notNows are SQLSTATEs of what may succeed later, and other statements at once: a lock that was waited for too long, a
// statement that took too long or was cancelled, and a right or a table that the statement lacks.
var notNows = regexp.MustCompile(`^(55P03|57014|42)`)

func notNow(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && notNows.MatchString(server.Code)
}

// notRefusals are SQLSTATEs that say nothing of a row's content: connection, state, prepared statements, rollback, SQL,
// resources, locks, cancellation and shutdown, system.
var notRefusals = regexp.MustCompile(`^(08|25|26|40|42|53|55P03|57|58|XX)`)

// refused reports whether the server refused an end for something in the task's row: a value, a constraint, a
// trigger. Others can be ended without it.
func refused(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	return ok && server.SeverityUnlocalized == "ERROR" &&
		!errors.Is(err, taskstore.ErrUncertain) && !notRefusals.MatchString(server.Code)
}
