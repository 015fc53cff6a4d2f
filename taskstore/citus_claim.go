package taskstore

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// claimOnShards claims one shard after the other, where SKIP LOCKED works. The anchors of a queue say which shards have
// tasks; each Store goes through them in an order of its own, so that workers of several programs seldom meet.
func (s *Store) claimOnShards(ctx context.Context, from Filter, n int) ([]Task, error) {
	if s.inTransaction() {
		return s.claimRouted(ctx, from, n)
	}
	var all []Task
	ids, looked := s.anchors.list(from), false
	for {
		before := len(all)
		for _, anchor := range ids {
			ts, err := s.claimFromAnchor(ctx, from, anchor, n-len(all))
			if err != nil {
				return doneBefore(ctx, s, err, once(all))
			}
			if all = append(all, ts...); len(all) == n {
				return once(all), nil
			}
		}
		if looked && len(all) == before { // others hold what there is
			return once(all), nil
		}
		fresh, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) { return listAnchors(ctx, q, from) })
		if err != nil {
			return doneBefore(ctx, s, err, once(all))
		}
		s.anchors.fill(from, fresh)
		if ids, looked = s.anchors.list(from), true; len(ids) == 0 {
			return once(all), nil
		}
	}
}

// claimFromAnchor claims up to n tasks on the shard of an anchor.
func (s *Store) claimFromAnchor(ctx context.Context, from Filter, anchor int64, n int) ([]Task, error) {
	arg := dbgen.ClaimTasksOnShardParams{Anchor: anchor, MaxRows: int32(n), Step: step(), Avoid: s.poison.ids()}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = from.owners()
	ts, err := s.claimBy(ctx, n, func(q *dbgen.Queries) ([]Task, error) { return q.ClaimTasksOnShard(ctx, arg) })
	switch {
	case isPoison(err):
		s.anchors.move(from, anchor, nil)
		return s.claimAround(ctx, from, bottom, n)
	case err != nil:
		return nil, err
	case len(ts) < n:
		s.anchors.move(from, anchor, nil)
	default:
		s.anchors.move(from, anchor, &once(ts)[n-1].ID)
	}
	return ts, nil
}

// claimRouted claims in a caller's transaction, where Citus does not send tasks_claim to a node: by ids that it has
// seen to be pending.
func (s *Store) claimRouted(ctx context.Context, from Filter, n int) ([]Task, error) {
	arg := dbgen.ListPendingIDsParams{First: bottom, Avoid: s.poison.ids()}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = from.owners()
	var all []Task
	for len(all) < n {
		arg.MaxRows = int32(n - len(all))
		ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) { return q.ListPendingIDs(ctx, arg) })
		if err != nil || len(ids) == 0 {
			return once(all), err
		}
		ts, err := s.claimListed(ctx, ids)
		if err != nil {
			return nil, err
		}
		all = append(all, ts...)
		arg.Avoid = append(arg.Avoid, ids...)
	}
	return once(all), nil
}

// maxAnchors is how many pending tasks a look for anchors reads: so many that hardly a shard is missed.
const maxAnchors = 200

func listAnchors(ctx context.Context, q *dbgen.Queries, from Filter) ([]int64, error) {
	switch from.by {
	case batch:
		b := from.batch
		return q.ListAnchorsByBatch(ctx, b.IntegrationID, b.ClientID, b.TemplateID, maxAnchors)
	case integration:
		return q.ListAnchorsByIntegration(ctx, from.id, maxAnchors)
	case template:
		return q.ListAnchorsByTemplate(ctx, from.id, maxAnchors)
	default:
		return q.ListAnchors(ctx, maxAnchors)
	}
}

// anchors are, for each queue that is claimed from, an id on each shard that had one of its oldest pending tasks a
// moment ago. Claims on the shard begin there. After a second they are looked for anew, since tasks with lower ids may
// have been put back.
type anchors struct {
	mu sync.Mutex
	of map[Filter]anchored
}

type anchored struct {
	ids []int64
	at  time.Time
}

func newAnchors() *anchors { return &anchors{of: make(map[Filter]anchored)} }

// list returns the anchors of a queue in random order; none if they are to be looked for.
func (a *anchors) list(from Filter) []int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.of[from]
	if time.Since(known.at) >= markAge {
		return nil
	}
	ids := slices.Clone(known.ids)
	rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// fill notes what was found.
func (a *anchors) fill(from Filter, ids []int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, known := a.of[from]; !known && len(a.of) >= maxMarks {
		for other := range a.of { // the order of a map is random
			delete(a.of, other)
			break
		}
	}
	a.of[from] = anchored{ids, time.Now()}
}

// forget has the next claim from each queue look for anchors.
func (a *anchors) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.of)
}

// move sets an anchor to a later id of its shard, or drops it.
func (a *anchors) move(from Filter, anchor int64, to *int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	known := a.of[from]
	i := slices.Index(known.ids, anchor)
	switch {
	case i < 0: // another claim has moved it
	case to != nil:
		known.ids[i] = *to
	default:
		known.ids = slices.Delete(known.ids, i, i+1)
		a.of[from] = known
	}
}

// claimTurnsOnShards is claimTurns, integration by integration.
func (s *Store) claimTurnsOnShards(ctx context.Context, turns []turn) ([]Task, error) {
	var all []Task
	for _, t := range turns {
		ts, err := s.claimOnShards(ctx, ByIntegration(t.integration), t.quota)
		if all = append(all, ts...); err != nil {
			return all, err
		}
		if len(ts) < t.quota {
			s.ring.drop(t.integration)
		}
	}
	return all, nil
}
