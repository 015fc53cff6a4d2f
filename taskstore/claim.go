package taskstore

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"

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
	return s.ClaimBy(ctx, Filter{}, n)
}

// ClaimBy is [Store.Claim] for the tasks that f selects, which is ByTemplate, ByIntegration, ByBatch or zero: all. Any
// other filter is ErrInvalid. Its cost depends neither on what is finished nor on the backlog of others.
func (s *Store) ClaimBy(ctx context.Context, f Filter, n int) ([]Task, error) {
	ts, err := s.claim(ctx, f, n)
	return ts, fail(err, "claim")
}

func (s *Store) claim(ctx context.Context, from Filter, n int) ([]Task, error) {
	if err := cmp.Or(checkBatch("n", n), from.checkQueue()); err != nil {
		return nil, err
	}
	if s.citus {
		return s.claimOnShards(ctx, from, n)
	}
	spans, err := s.startClaims(ctx, from)
	if err != nil {
		return nil, err
	}
	ts, err := s.claimFrom(ctx, from, spans[0].at, n)
	if err != nil {
		return nil, err
	}
	return s.endClaim(ctx, from, spans[0], n, ts)
}

// startClaims returns where claims from some queues begin, and what is to be known of the table before they do.
func (s *Store) startClaims(ctx context.Context, from ...Filter) ([]span, error) {
	spans := make([]span, len(from))
	look := false
	for i, f := range from {
		spans[i] = s.marks.start(f)
		look = look || spans[i].bottom
	}
	if !look || s.inTransaction() {
		return spans, nil
	}
	newest, err := read(ctx, s, func(q *dbgen.Queries) (int64, error) { return q.NewestID(ctx) })
	for i := range spans {
		spans[i].newest = newest
	}
	return spans, err
}

// endClaim looks again below the mark if a claim that began at at came back short, and moves the mark.
func (s *Store) endClaim(ctx context.Context, from Filter, at span, n int, ts []Task) ([]Task, error) {
	if len(ts) < n && at.lagged < at.at {
		below, err := s.claimFrom(ctx, from, at.lagged, n-len(ts))
		if err != nil {
			return doneBefore(ctx, s, err, once(ts))
		}
		ts = append(ts, below...)
	}
	ts = once(ts)
	switch {
	case s.inTransaction(): // a claim that may yet be rolled back proves nothing
	case at.bottom && len(ts) < n:
		s.marks.move(from, at, after(at.newest))
	case len(ts) > 0:
		s.marks.move(from, at, after(ts[len(ts)-1].ID))
	}
	return ts, nil
}

// once sorts tasks by id. One that was put back between two statements and taken again counts once, with its new lease.
func once(ts []Task) []Task {
	slices.SortFunc(ts, func(a, b Task) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(b.UpdatedAt, a.UpdatedAt))
	})
	return slices.CompactFunc(ts, func(a, b Task) bool { return a.ID == b.ID })
}

// after returns the id that follows id.
func after(id int64) int64 { return max(id, id+1) } // the last id stays

// claimFrom claims tasks with ids of at least first.
func (s *Store) claimFrom(ctx context.Context, from Filter, first int64, n int) ([]Task, error) {
	avoid := s.poison.ids()
	ts, err := s.claimBy(ctx, n, func(q *dbgen.Queries) ([]Task, error) {
		return s.claimQuery(ctx, q, from, first, avoid, int32(n))
	})
	if s.goesAround(err) {
		return s.claimAround(ctx, from, first, n)
	}
	return ts, err
}

// claimQuery is the one place where a Filter becomes a claim.
func (s *Store) claimQuery(
	ctx context.Context, q *dbgen.Queries, from Filter, first int64, avoid []int64, n int32,
) ([]Task, error) {
	switch from.by {
	case batch:
		arg := dbgen.ClaimTasksByBatchParams{
			IntegrationID: from.batch.IntegrationID, ClientID: from.batch.ClientID, TemplateID: from.batch.TemplateID,
			Step: step(), First: first, Avoid: avoid, MaxRows: n,
		}
		return q.ClaimTasksByBatch(ctx, arg)
	case integration:
		arg := dbgen.ClaimTasksByIntegrationParams{
			IntegrationID: from.id, Step: step(), First: first, Avoid: avoid, MaxRows: n,
		}
		return q.ClaimTasksByIntegration(ctx, arg)
	case template:
		arg := dbgen.ClaimTasksByTemplateParams{TemplateID: from.id, Step: step(), First: first, Avoid: avoid, MaxRows: n}
		return q.ClaimTasksByTemplate(ctx, arg)
	default:
		return q.ClaimTasks(ctx, step(), first, avoid, n)
	}
}

// claimBy runs a query that claims up to n tasks.
func (s *Store) claimBy(ctx context.Context, n int, query func(*dbgen.Queries) ([]Task, error)) ([]Task, error) {
	return write(ctx, s, func(db DB) ([]Task, error) { return tasksFrom(db, n, false, query) })
}

// step is by how much a claim raises a version that lies ahead of the database's clock: see ClaimTasks.
func step() int64 { return 1 + rand.Int64N(1<<20) }
