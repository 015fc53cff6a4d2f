package taskstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// maxBatch is the most tasks that one call claims or requeues.
const maxBatch = 10_000

func checkBatch(name string, n int) error {
	if n < 1 || n > maxBatch {
		return invalid("%s %d is not between 1 and %d", name, n, maxBatch)
	}
	return nil
}

// Heartbeat renews the leases of tasks in place: each task of the slice whose lease is alive gets its
// new version. Those that are lost are named by a [ConflictError]; stop working on them. It waits for nobody: a
// task whose row another session has locked keeps its version, and its lease, without being renewed.
//
// Never end a task, or a copy of it, while a Heartbeat of it runs: only one of the two can present the version. In a
// transaction that rolls back the new versions are lost, and with them the leases; so they may be after ErrUncertain.
func (s *Store) Heartbeat(ctx context.Context, tasks []Task) error {
	if len(tasks) == 0 {
		return nil
	}
	held := leasesOf(tasks)
	renewed, err := s.renew(ctx, held)
	if err != nil && len(renewed) == 0 {
		return fail(err, "heartbeat of %d tasks", len(tasks))
	}
	if err == nil && len(renewed) < len(held.ids) {
		// Some are lost, or were passed by. A look without a lock tells which.
		left := held.without(renewed)
		var ids []int64
		ids, err = read(ctx, s, func(q *dbgen.Queries) ([]int64, error) { return q.ListHeld(ctx, left.ids, left.versions) })
		for _, id := range ids {
			renewed[id] = held.version(id)
		}
	}
	var lost []int64
	for i, t := range tasks {
		if version, ok := renewed[t.ID]; ok && held.version(t.ID) == t.UpdatedAt {
			tasks[i].UpdatedAt = version
		} else {
			lost = append(lost, t.ID)
		}
	}
	switch {
	case err == nil:
		err = conflict(lost)
	case len(renewed) > 0: // and nobody knows of the others
		err = &uncertainError{err}
	}
	return fail(err, "heartbeat of %d tasks", len(tasks))
}

// renew renews the leases that are alive and not locked, and returns their new versions. On Citus some may be renewed
// beside an error.
func (s *Store) renew(ctx context.Context, l leases) (map[int64]Millis, error) {
	renewed := make(map[int64]Millis, len(l.ids))
	if s.citus {
		return renewed, s.renewOnShards(ctx, l, renewed)
	}
	return write(ctx, s, func(db DB) (map[int64]Millis, error) {
		rows, err := dbgen.New(db).HeartbeatTasks(ctx, l.ids, l.versions)
		for _, r := range rows {
			renewed[r.ID] = r.UpdatedAt
		}
		return renewed, err
	})
}

// Complete ends the leases of tasks: those that are alive are completed, all in one statement, and the
// others are left as they are and named by a [ConflictError]. It waits for rows that another session has locked.
func (s *Store) Complete(ctx context.Context, tasks ...Task) error {
	_, err := s.finish(ctx, "complete", Completed, tasks)
	return err
}

// Fail is [Store.Complete] for tasks that failed. See [Store.Retry].
func (s *Store) Fail(ctx context.Context, tasks ...Task) error {
	_, err := s.finish(ctx, "fail", Failed, tasks)
	return err
}

// Release is [Store.Complete] for tasks that go back to pending, for another worker to claim.
func (s *Store) Release(ctx context.Context, tasks ...Task) error {
	released, err := s.finish(ctx, "release", Pending, tasks)
	s.putBack(released...)
	return err
}

// finish moves the tasks whose lease is alive to status to and returns their ids.
func (s *Store) finish(ctx context.Context, op string, to Status, tasks []Task) ([]int64, error) {
	if len(tasks) == 0 {
		return nil, nil
	}
	held := leasesOf(tasks)
	done, err := s.end(ctx, to, held)
	if err == nil {
		err = conflict(held.lost(done))
	}
	if len(tasks) == 1 {
		return done, fail(err, "%s task %d", op, tasks[0].ID)
	}
	return done, fail(err, "%s %d tasks", op, len(tasks))
}

func (s *Store) end(ctx context.Context, to Status, l leases) ([]int64, error) {
	return write(ctx, s, func(db DB) ([]int64, error) {
		return s.endTasks(ctx, db, to, l)
	})
}

// RequeueStale returns to pending up to limit tasks, limit at most 10,000, that f selects, that are in processing and
// whose version is at least silentFor old by the database's clock, oldest first, and returns their ids. f is
// ByTemplate, ByIntegration, ByBatch or zero: all. silentFor is at least a millisecond, and rounded up to whole
// ones; choose several times the interval of the workers' heartbeats. Any program may call it, and several at once. A
// row that another session has locked is passed by. One that somebody else's constraint or trigger refuses is, too, as
// by [Store.Claim].
//
// A task whose version lies ahead of the clock never seems silent. The Store remembers such versions, and requeues
// a task whose version is still the same silentFor later: call it from a program that goes on running.
func (s *Store) RequeueStale(ctx context.Context, f Filter, silentFor time.Duration, limit int) ([]int64, error) {
	if err := checkStale(f, silentFor, limit); err != nil {
		return nil, fail(err, "requeue stale tasks")
	}
	ids, err := s.requeue(ctx, f, silentFor, limit)
	if err != nil {
		return nil, fail(err, "requeue stale tasks")
	}
	slices.Sort(ids)
	s.putBack(ids...)
	return ids, nil
}

func checkStale(f Filter, silentFor time.Duration, limit int) error {
	err := cmp.Or(checkBatch("limit", limit), f.checkQueue())
	if err == nil && silentFor < time.Millisecond {
		err = invalid("silentFor %v is less than a millisecond", silentFor)
	}
	return err
}

// Stale returns the tasks that [Store.RequeueStale] would requeue, without doing it; but for those whose version lies
// ahead of the clock.
func (s *Store) Stale(ctx context.Context, f Filter, silentFor time.Duration, limit int) ([]Task, error) {
	if err := checkStale(f, silentFor, limit); err != nil {
		return nil, fail(err, "list stale tasks")
	}
	arg := dbgen.ListStaleTasksParams{SilentForMs: wholeMillis(silentFor), MaxRows: int32(limit)}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = f.owners()
	ts, err := read(ctx, s, func(q *dbgen.Queries) ([]Task, error) { return q.ListStaleTasks(ctx, arg) })
	if err != nil {
		return nil, fail(err, "list stale tasks")
	}
	return ts, nil
}

func (s *Store) requeue(ctx context.Context, f Filter, silentFor time.Duration, limit int) ([]int64, error) {
	arg := dbgen.RequeueTasksParams{
		SilentForMs: wholeMillis(silentFor),
		MaxRows:     int32(limit),
	}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = f.owners()
	ahead, err := read(ctx, s, func(q *dbgen.Queries) ([]dbgen.ListAheadRow, error) {
		return q.ListAhead(ctx, arg.IntegrationID, arg.ClientID, arg.TemplateID, maxBatch)
	})
	if err != nil {
		return nil, err
	}
	arg.Ids, arg.Versions = s.ahead.silent(ahead, silentFor)
	if !s.citus {
		ids, err := write(ctx, s, func(db DB) ([]int64, error) { return dbgen.New(db).RequeueTasks(ctx, arg) })
		if !s.goesAround(err) {
			return ids, err
		}
	}
	return s.requeueListed(ctx, arg)
}

// Retry returns failed tasks to pending, and says how many of ids were failed tasks.
func (s *Store) Retry(ctx context.Context, ids ...int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	ids = slices.Sorted(slices.Values(ids)) // the order in which rows are to be locked
	retried, err := write(ctx, s, func(db DB) ([]int64, error) { return dbgen.New(db).RetryTasks(ctx, ids) })
	if err != nil {
		return 0, fail(err, "retry %d tasks", len(ids))
	}
	s.putBack(retried...)
	return int64(len(retried)), nil
}
