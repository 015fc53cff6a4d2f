package taskstore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/dbgen"
)

// Ended are leases that a worker ends together.
type Ended struct {
	Completed, Released []Task
	Failed              []Failure
}

// Exchange ends leases and claims up to n tasks that f selects, as [Store.Complete], [Store.FailWith], [Store.Release]
// and [Store.ClaimBy] do, in one round trip and one commit; on Citus the claim follows by itself. n may be 0: nothing
// is claimed. Leases that were lost are named by one [ConflictError]; the others are ended and the claimed tasks are
// returned beside it. After any other error nothing was done, or, with ErrUncertain, nobody knows. A task belongs into
// one part of e only.
//
// Outside a caller's transaction it waits for a row that somebody else has locked for a quarter of a second at most,
// or less where lock_timeout says so, and so the other tasks need not wait: then the error's SQLSTATE is 55P03, and a
// Heartbeat renews those that are free.
func (s *Store) Exchange(ctx context.Context, e Ended, f Filter, n int) ([]Task, error) {
	ts, err := s.exchange(ctx, e, f, n)
	return ts, fail(err, "exchange %d tasks", len(e.Completed)+len(e.Released)+len(e.Failed))
}

func (s *Store) exchange(ctx context.Context, e Ended, f Filter, n int) ([]Task, error) {
	if n != 0 {
		if err := checkBatch("n", n); err != nil {
			return nil, err
		}
	}
	if err := f.checkQueue(); err != nil {
		return nil, err
	}
	failed, failedLeases, err := failuresOf(e.Failed)
	if err != nil {
		return nil, err
	}
	completed, released := leasesOf(e.Completed), leasesOf(e.Released)
	var at span
	together := n > 0 && !s.citus // the claim with the ends; on Citus it follows
	if together {
		spans, err := s.startClaims(ctx, f)
		if err != nil {
			return nil, err
		}
		at = spans[0]
	}
	var doneCompleted, doneReleased, doneFailed []int64
	var ts []Task
	steps := func(claim bool) []func(DB) error {
		var steps []func(DB) error
		finish := func(l leases, to Status, done *[]int64) {
			if len(l.ids) > 0 {
				steps = append(steps, func(db DB) (err error) {
					*done, err = s.endTasks(ctx, db, to, l)
					return err
				})
			}
		}
		finish(completed, Completed, &doneCompleted)
		finish(released, Pending, &doneReleased)
		if len(failed.Ids) > 0 {
			steps = append(steps, func(db DB) (err error) {
				doneFailed, err = s.failTasks(ctx, db, failed)
				return err
			})
		}
		if claim {
			avoid, first := s.poison.ids(), at.at
			steps = append(steps, func(db DB) (err error) {
				ts, err = tasksFrom(db, n, false, func(q *dbgen.Queries) ([]Task, error) {
					return s.claimQuery(ctx, q, f, first, avoid, int32(n))
				})
				return err
			})
		}
		return steps
	}
	err = s.pipelined(ctx, steps(together))
	var claimErr error
	if n > 0 && !together && err == nil {
		ts, claimErr = s.claimOnShards(ctx, f, n)
	}
	if together && s.goesAround(err) {
		// One of the two parts met a row that refuses: nothing was done. The ends are told apart from the claim.
		if err = s.pipelined(ctx, steps(false)); err == nil {
			ts, claimErr = s.claimFrom(ctx, f, at.at, n)
		}
	}
	if err != nil {
		return nil, err
	}
	s.putBack(doneReleased...)
	lost := slices.Concat(completed.lost(doneCompleted), released.lost(doneReleased), failedLeases.lost(doneFailed))
	if together && claimErr == nil {
		ts, claimErr = s.endClaim(ctx, f, at, n, ts)
	}
	if claimErr != nil {
		if s.inTransaction() || len(doneCompleted)+len(doneReleased)+len(doneFailed) == 0 {
			return nil, claimErr
		}
		// The ends are done all the same.
		s.log.WarnContext(ctx, "taskstore: leases were ended, but no tasks claimed", "n", n, "error", claimErr)
	}
	return ts, conflict(lost)
}

// waitBriefly limits how long each lock is waited for, until the implicit transaction ends. A session that waits less
// long, and not for ever, which is 0, keeps its own limit.
const waitBriefly = `SELECT set_config('lock_timeout', '250ms', true)
WHERE current_setting('lock_timeout')::interval NOT BETWEEN '1ms' AND '250ms'`

// waitBrieflyOnNodes is waitBriefly where the locks are those of Citus's nodes, which do not know the session's limit.
const waitBrieflyOnNodes = `SET LOCAL citus.propagate_set_commands TO local; SET LOCAL lock_timeout TO '250ms'`

// pipelined runs statements in one round trip, and in one implicit transaction: they are sent before any answer is
// read, with one Sync behind the last, which is when the server commits. In a caller's transaction they belong to that.
func (s *Store) pipelined(ctx context.Context, steps []func(DB) error) error {
	if len(steps) == 0 {
		return nil
	}
	if s.citus { // commits the statements of a pipeline one by one
		autonomous := !s.inTransaction()
		return s.atomically(ctx, func(db DB) error {
			if autonomous {
				if _, err := db.Exec(ctx, waitBrieflyOnNodes); err != nil {
					return err
				}
			}
			for _, step := range steps {
				if err := step(db); err != nil {
					return err
				}
			}
			return nil
		})
	}
	_, err := write(ctx, s, func(db DB) (struct{}, error) {
		p := &pipeline{DB: db}
		autonomous := !s.inTransaction()
		if autonomous {
			p.batch.Queue(waitBriefly)
		}
		for _, step := range steps {
			if err := step(p); !errors.Is(err, errQueued) {
				return struct{}{}, err
			}
		}
		p.results = db.SendBatch(ctx, &p.batch)
		var err error
		if autonomous {
			_, err = p.results.Exec()
		}
		for _, step := range steps {
			err = cmp.Or(err, step(p)) // later ones say only that the pipeline was given up
		}
		return struct{}{}, cmp.Or(err, p.results.Close())
	})
	return err
}

// pipeline is a DB that queues the statements of the generated code, and then gives it their results in the same order.
type pipeline struct {
	DB
	batch   pgx.Batch
	results pgx.BatchResults // nil while statements are queued
}

// errQueued is what a statement that was queued returns.
var errQueued = errors.New("queued")

// Query implements [dbgen.DBTX].
func (p *pipeline) Query(_ context.Context, sql string, args ...any) (pgx.Rows, error) {
	if p.results == nil {
		p.batch.Queue(sql, args...)
		return nil, errQueued
	}
	return p.results.Query()
}

// Exec implements [dbgen.DBTX].
func (p *pipeline) Exec(context.Context, string, ...any) (pgconn.CommandTag, error) {
	panic("taskstore: no statement of a pipeline is sent by Exec")
}
