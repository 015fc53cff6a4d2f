package taskstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

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

// claimAround claims what a claim that failed for one of its rows would have taken, without that row.
func (s *Store) claimAround(ctx context.Context, from Filter, first int64, n int) ([]Task, error) {
	arg := dbgen.ListPendingIDsParams{First: first, Avoid: s.poison.ids(), MaxRows: int32(n)}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = from.owners()
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) { return q.ListPendingIDs(ctx, arg) })
	if err != nil {
		return nil, err
	}
	ts, err := s.claimListed(ctx, ids)
	if err != nil {
		return s.claimedBefore(ctx, err, ts)
	}
	return ts, nil
}

// claimListed claims those of ids that are pending, and that can be claimed.
func (s *Store) claimListed(ctx context.Context, ids []int64) ([]Task, error) {
	groups, err := s.byShard(ctx, ids)
	var all []Task
	for _, group := range groups {
		if err != nil {
			break
		}
		var ts []Task
		ts, err = s.claimIDs(ctx, group)
		all = append(all, ts...)
	}
	return all, err
}

// claimIDs claims those of ids that can be claimed. It halves what fails until it has found the tasks that do.
func (s *Store) claimIDs(ctx context.Context, ids []int64) ([]Task, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ts, err := s.claimBy(ctx, len(ids), func(q *dbgen.Queries) ([]Task, error) {
		if s.citus {
			return q.ClaimPendingIDsOnShard(ctx, step(), ids)
		}
		return q.ClaimPendingIDs(ctx, step(), ids)
	})
	if !isPoison(err) || s.inTransaction() {
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

// isPoison reports whether one of the tasks may be why a claim failed. That it took too long, as behind a table that
// somebody has locked, is not the fault of a task: looking for it would take as long again and again.
func isPoison(err error) bool {
	code := sqlState(err)
	return isRowsFault(err) && code != "57014" && code != "55P03" // query_canceled, lock_not_available
}
