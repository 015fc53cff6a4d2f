package taskstore

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// Claim takes up to n pending tasks, n at most 10,000, oldest (lowest id) first, and returns them in
// processing. It is not an error if none is pending.
//
// A claimed Task is its own lease: its UpdatedAt is the token that [Store.Heartbeat], [Store.Complete],
// [Store.Fail] and [Store.Release] present, also from another process that got the Task as JSON. The
// lease is lost when [Store.RequeueStale] finds it silent for too long, or when anybody resets the row. Never copy
// a claimed Task and use both: each Heartbeat gives one of them a new version, and the other is then stale.
//
// Tasks that are put back by another program may be passed over for up to a second. If the connection breaks while the
// result is on its way, which is ErrUncertain, tasks may be in processing that nobody holds: RequeueStale
// returns them. A task that cannot be claimed, since a constraint or trigger of somebody else refuses the update, is
// logged (see [WithLogger]) and passed over for a minute; in a caller's transaction it is an error.
func (s *Store) Claim(ctx context.Context, n int) ([]Task, error) {
	return s.claim(ctx, Filter{}, n)
}

// ClaimBatch is [Store.Claim] for the tasks of one batch. Its cost does not depend on how many tasks
// the batch has finished.
func (s *Store) ClaimBatch(ctx context.Context, b Batch, n int) ([]Task, error) {
	return s.claim(ctx, ByBatch(b), n)
}

func (s *Store) claim(ctx context.Context, from Filter, n int) ([]Task, error) {
	if err := checkBatch("n", n); err != nil {
		return nil, fail(err, "claim")
	}
	at := s.marks.start(from)
	var newest dbgen.NewestIDRow
	if at.bottom && !s.inTransaction() {
		var err error
		newest, err = read(ctx, s, func(q *dbgen.Queries) (dbgen.NewestIDRow, error) { return q.NewestID(ctx) })
		if err != nil {
			return nil, fail(err, "claim")
		}
	}
	ts, err := s.claimFrom(ctx, from, at.at, n)
	if err == nil && len(ts) < n && at.lagged < at.at {
		var below []Task
		below, err = s.claimFrom(ctx, from, at.lagged, n-len(ts))
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
	case err != nil || s.inTransaction(): // a claim that may yet be rolled back proves nothing
	case at.bottom && len(ts) < n:
		s.marks.move(from, at, after(newest.ID), newest.Quiet && !s.citus)
	case len(ts) > 0:
		s.marks.move(from, at, after(ts[len(ts)-1].ID), false)
	}
	return ts, nil
}

// after returns the id that follows id.
func after(id int64) int64 { return max(id, id+1) } // the last id stays

// claimFrom claims tasks with ids of at least first.
func (s *Store) claimFrom(ctx context.Context, from Filter, first int64, n int) ([]Task, error) {
	avoid := s.poison.ids()
	ts, err := s.claimBy(ctx, n, func(q *dbgen.Queries) ([]Task, error) {
		b := dbgen.ClaimBatchParams{
			IntegrationID: from.batch.IntegrationID, ClientID: from.batch.ClientID, TemplateID: from.batch.TemplateID,
			Step: step(), First: first, Avoid: avoid, MaxRows: int32(n),
		}
		switch {
		case from.by == batch && s.citus:
			return q.ClaimBatchOptimistic(ctx, dbgen.ClaimBatchOptimisticParams(b))
		case from.by == batch:
			return q.ClaimBatch(ctx, b)
		case s.citus:
			return q.ClaimTasksOptimistic(ctx, b.Step, first, avoid, b.MaxRows)
		default:
			return q.ClaimTasks(ctx, b.Step, first, avoid, b.MaxRows)
		}
	})
	if !isPoison(err) || s.inTransaction() || s.citus {
		return ts, err
	}
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) {
		if from.by == batch {
			return q.ListPendingIDsByBatch(ctx, dbgen.ListPendingIDsByBatchParams{
				IntegrationID: from.batch.IntegrationID, ClientID: from.batch.ClientID, TemplateID: from.batch.TemplateID,
				First: first, Avoid: avoid, MaxRows: int32(n),
			})
		}
		return q.ListPendingIDs(ctx, first, avoid, int32(n))
	})
	if err != nil {
		return nil, err
	}
	return s.claimIDs(ctx, ids)
}

// claimIDs claims those of ids that can be claimed. It halves what fails until it has found the tasks that do.
func (s *Store) claimIDs(ctx context.Context, ids []int64) ([]Task, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ts, err := s.claimBy(ctx, len(ids), func(q *dbgen.Queries) ([]Task, error) { return q.ClaimPendingIDs(ctx, step(), ids) })
	if !isPoison(err) {
		return ts, err
	}
	if len(ids) == 1 {
		s.poison.add(ids[0])
		s.log.WarnContext(ctx, "taskstore: a task cannot be claimed, passing it over for a while",
			"task", ids[0], "for", poisonAge, "error", err)
		return nil, nil
	}
	ts, err = s.claimIDs(ctx, ids[:len(ids)/2])
	if err != nil {
		return ts, err
	}
	more, err := s.claimIDs(ctx, ids[len(ids)/2:])
	return append(ts, more...), err
}

// isPoison reports whether one of the tasks may be why a claim failed. That a claim took too long, as behind a table that
// somebody has locked, is not the fault of a task: looking for it would take too long again and again.
func isPoison(err error) bool {
	code := sqlState(err)
	return isRowsFault(err) && code != "57014" && code != "55P03" // query_canceled, lock_not_available
}

func (s *Store) claimBy(ctx context.Context, n int, query func(*dbgen.Queries) ([]Task, error)) ([]Task, error) {
	return write(ctx, s, func(db DB) ([]Task, error) { return tasksFrom(db, n, false, query) })
}

// step is by how much a claim raises a version that lies ahead of the database's clock: see ClaimTasks.
func step() int64 { return 1 + rand.Int64N(1<<20) }

// poison remembers the tasks that could not be claimed.
type poison struct {
	mu    sync.Mutex
	until map[int64]time.Time
}

const poisonAge = time.Minute

func newPoison() *poison { return &poison{until: make(map[int64]time.Time)} }

func (p *poison) add(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until[id] = time.Now().Add(poisonAge)
}

// ids returns the tasks to pass over now.
func (p *poison) ids() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(p.until, func(_ int64, until time.Time) bool { return !now.Before(until) })
	return slices.AppendSeq(make([]int64, 0, len(p.until)), maps.Keys(p.until))
}
