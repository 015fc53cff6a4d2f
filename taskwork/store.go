package taskwork

import (
	"context"
	"errors"
	"slices"
	"strings"
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

	renew(ctx context.Context, take func() []renewal) ([]renewal, error)
	complete(ctx context.Context, tx pgx.Tx, t taskstore.Task, doubt taskstore.Millis) (taskstore.Millis, error)
}

// database is the store of a Run.
type database struct{ *taskstore.Store }

// renewal is a lease in a heartbeat.
type renewal struct {
	*lease

	id    int64
	at    taskstore.Millis // its version
	doubt taskstore.Millis // the version that it has instead, if a heartbeat without answer was done; 0: none
	lost  bool

	found taskstore.Millis // the version that this heartbeat met, until its commit
}

// renew renews the leases that take gives it, and returns them as they are then. It takes them when it has a connection.
//
// It is a transaction, although one statement would do: so the new versions are known before the commit. A lost
// answer leaves a lease at one of two versions, and the next heartbeat tells which. If the server hears nothing
// more of the transaction, it ends it.
func (d database) renew(ctx context.Context, take func() []renewal) ([]renewal, error) {
	tx, err := d.BeginTx(ctx, pgx.TxOptions{
		BeginQuery: "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL idle_in_transaction_session_timeout = '2s'",
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // of no effect after a commit
	before := take()
	after := slices.Clone(before)
	if err := heartbeat(ctx, d.WithTx(tx), after); err != nil {
		return before, err
	}
	if err := tx.Commit(ctx); err != nil {
		for i, r := range after {
			if !r.lost {
				before[i].at = r.found
				before[i].doubt = r.doubt
				if r.at != r.found {
					before[i].doubt = r.at
				}
			}
		}
		return before, err
	}
	return after, nil
}

// heartbeat renews leases in a transaction. Those in doubt it tries at both versions.
func heartbeat(ctx context.Context, s *taskstore.Store, rs []renewal) error {
	try := func(version func(renewal) taskstore.Millis) error {
		var ts []taskstore.Task
		var of []*renewal
		for i := range rs {
			if r := &rs[i]; r.found == 0 && version(*r) != 0 {
				ts = append(ts, taskstore.Task{ID: r.id, UpdatedAt: version(*r)})
				of = append(of, r)
			}
		}
		err := s.Heartbeat(ctx, ts)
		conflict := new(taskstore.ConflictError)
		if err != nil && !errors.As(err, &conflict) {
			return err
		}
		for i, r := range of {
			if slices.Contains(conflict.IDs, r.id) {
				continue
			}
			met := version(*r)
			if met == r.doubt || ts[i].UpdatedAt != met { // else somebody has locked the row, the lost heartbeat perhaps
				r.doubt = 0
			}
			r.found, r.at = met, ts[i].UpdatedAt
		}
		return nil
	}
	err := try(func(r renewal) taskstore.Millis { return r.doubt })
	if err == nil {
		err = try(func(r renewal) taskstore.Millis { return r.at })
	}
	for i := range rs {
		rs[i].lost = rs[i].found == 0
	}
	return err
}

// complete completes t in tx, at its version or at the one that is in doubt, and returns that.
func (d database) complete(
	ctx context.Context, tx pgx.Tx, t taskstore.Task, doubt taskstore.Millis,
) (version taskstore.Millis, err error) {
	for _, version = range []taskstore.Millis{doubt, t.UpdatedAt} {
		if version == 0 {
			continue
		}
		t.UpdatedAt = version
		if err = d.WithTx(tx).Complete(ctx, t); !errors.As(err, new(*taskstore.ConflictError)) {
			return version, err
		}
	}
	return version, err
}

// isMisuse reports whether the Store itself refuses what it is asked for: a From that names no queue, or a Store in a
// transaction.
func isMisuse(err error) bool {
	return errors.Is(err, taskstore.ErrInvalid) && !errors.As(err, new(*pgconn.PgError))
}

// isRefusal reports whether the server refused a row's end for something in the row: a value, a constraint, a trigger, a
// lock that was waited for too long. Alone, the others can be ended.
func isRefusal(err error) bool {
	var server *pgconn.PgError
	switch {
	case errors.Is(err, taskstore.ErrUncertain) || !errors.As(err, &server) || server.SeverityUnlocalized != "ERROR":
		return false
	case server.Code == "42501": // insufficient_privilege, by a policy for rows
		return true
	case strings.HasPrefix(server.Code, "57P"): // the server is going away
		return false
	}
	switch server.Code[:min(2, len(server.Code))] {
	case "08", "25", "40", "42", "53", "58", "XX": // connection, state, rollback, SQL, resources, system: the same for each row
		return false
	}
	return true
}
