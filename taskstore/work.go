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

// Claim takes up to n pending tasks, n at most 10,000, oldest (lowest id) first, and returns them in
// processing. That none is pending is no error.
//
// A claimed Task is its own lease: its UpdatedAt is the token that [Store.Heartbeat], [Store.Complete],
// [Store.Fail] and [Store.Release] present, also from another process that got the Task as JSON. The
// lease is lost when [Store.RequeueStale] finds it silent for too long, or when anybody resets the row.
//
// Tasks that are put back by another program may be passed over for up to a second in favour of newer
// ones. If the connection breaks while the result is on its way, tasks may be in processing that nobody
// holds: RequeueStale returns them.
func (s *Store) Claim(ctx context.Context, n int) ([]Task, error) {
	return s.claim(ctx, queue{}, n, func(q *dbgen.Queries, first int64, n int32) ([]Task, error) {
		if s.optimistic {
			return q.ClaimTasksOptimistic(ctx, first, n)
		}
		return q.ClaimTasks(ctx, first, n)
	})
}

// ClaimBatch is [Store.Claim] for the tasks of one batch. Its cost does not depend on how many tasks
// the batch has finished.
func (s *Store) ClaimBatch(ctx context.Context, b Batch, n int) ([]Task, error) {
	return s.claim(ctx, queue{oneBatch: true, batch: b}, n, func(q *dbgen.Queries, first int64, n int32) ([]Task, error) {
		arg := dbgen.ClaimBatchParams{
			IntegrationID: b.IntegrationID, ClientID: b.ClientID, TemplateID: b.TemplateID,
			First: first, MaxRows: n,
		}
		if s.optimistic {
			return q.ClaimBatchOptimistic(ctx, dbgen.ClaimBatchOptimisticParams(arg))
		}
		return q.ClaimBatch(ctx, arg)
	})
}

func (s *Store) claim(ctx context.Context, from queue, n int, take func(q *dbgen.Queries, first int64, n int32) ([]Task, error)) ([]Task, error) {
	if err := checkBatch("n", n); err != nil {
		return nil, fail(err, "claim")
	}
	mk := s.marks.start(from)
	above := func(first int64, n int) ([]Task, error) {
		return s.read(ctx, n, false, func(q *dbgen.Queries) ([]Task, error) { return take(q, first, int32(n)) })
	}
	ts, err := above(mk.first, n)
	if err == nil && len(ts) < n && mk.first > bottom {
		s.marks.rewind(from)
		var below []Task
		below, err = above(bottom, n-len(ts))
		ts = append(ts, below...)
	}
	if err != nil && (len(ts) == 0 || s.inTransaction()) {
		return nil, fail(err, "claim")
	}
	if err != nil {
		// Tasks that were claimed before an error are the caller's all the same.
		s.log.WarnContext(ctx, "taskstore: claimed fewer tasks than asked for", "tasks", len(ts), "n", n, "error", err)
	}
	// One that was put back between the two statements and taken again counts once, with its new lease.
	slices.SortFunc(ts, func(a, b Task) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(b.UpdatedAt, a.UpdatedAt))
	})
	ts = slices.CompactFunc(ts, func(a, b Task) bool { return a.ID == b.ID })
	switch {
	case len(ts) < n:
		s.marks.rewind(from)
	case !s.inTransaction(): // a claim that may yet be rolled back proves nothing
		s.marks.advance(from, mk, ts[n-1].ID)
	}
	return ts, nil
}

// Heartbeat renews the leases of tasks in place: each task of the slice whose lease is alive gets its
// new version. The others are named by a [ConflictError]; stop working on them.
func (s *Store) Heartbeat(ctx context.Context, tasks []Task) error {
	if len(tasks) == 0 {
		return nil
	}
	held := leasesOf(tasks)
	rows, err := s.renew(ctx, held)
	if err != nil {
		return fail(err, "heartbeat of %d tasks", len(tasks))
	}
	renewed := make(map[int64]Millis, len(rows))
	for _, r := range rows {
		renewed[r.ID] = r.UpdatedAt
	}
	var lost []int64
	for i, t := range tasks {
		if version, ok := renewed[t.ID]; ok && held.sent(t) {
			tasks[i].UpdatedAt = version
		} else {
			lost = append(lost, t.ID)
		}
	}
	return fail(conflict(lost), "heartbeat of %d tasks", len(tasks))
}

// Complete ends the leases of tasks: those that are alive are completed, all in one statement, and the
// others are left as they are and named by a [ConflictError].
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
	if len(released) > 0 {
		s.marks.lower(slices.Min(released))
	}
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
		slices.Sort(done)
		lost := slices.DeleteFunc(held.ids, func(id int64) bool {
			_, ok := slices.BinarySearch(done, id)
			return ok
		})
		err = conflict(append(lost, held.late...))
	}
	if len(tasks) == 1 {
		return done, fail(err, "%s task %d", op, tasks[0].ID)
	}
	return done, fail(err, "%s %d tasks", op, len(tasks))
}

// RequeueStale returns to pending up to limit tasks, limit at most 10,000, that are in processing and
// whose version is at least silentFor old by the database's clock, oldest first, and returns their ids.
// Choose silentFor as several times the interval of the workers' heartbeats. Any program may call it,
// and several at once.
func (s *Store) RequeueStale(ctx context.Context, silentFor time.Duration, limit int) ([]int64, error) {
	err := checkBatch("limit", limit)
	if err == nil && silentFor < 0 {
		err = invalid("silentFor %v is negative", silentFor)
	}
	if err != nil {
		return nil, fail(err, "requeue stale tasks")
	}
	ids, err := retry(ctx, s, func() ([]int64, error) {
		return s.q.RequeueTasks(ctx, silentFor.Milliseconds(), int32(limit))
	})
	if err != nil {
		return nil, fail(err, "requeue stale tasks")
	}
	slices.Sort(ids)
	if len(ids) > 0 {
		s.marks.lower(ids[0])
	}
	return ids, nil
}

// Retry returns failed tasks to pending, and says how many of ids were failed tasks.
func (s *Store) Retry(ctx context.Context, ids ...int64) (int64, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	ids = slices.Sorted(slices.Values(ids)) // the order in which rows are to be locked
	retried, err := retry(ctx, s, func() ([]int64, error) { return s.q.RetryTasks(ctx, ids) })
	if err != nil {
		return 0, fail(err, "retry %d tasks", len(ids))
	}
	if len(retried) > 0 {
		s.marks.lower(slices.Min(retried))
	}
	return int64(len(retried)), nil
}
