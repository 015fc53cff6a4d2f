package taskstore

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// ClaimFair is [Store.Claim] that takes from the integrations in turn, as many tasks of each: the backlog of one delays
// no other. Of one integration the oldest comes first.
func (s *Store) ClaimFair(ctx context.Context, n int) ([]Task, error) {
	ts, err := s.claimFair(ctx, n)
	return ts, fail(err, "claim fairly")
}

func (s *Store) claimFair(ctx context.Context, n int) ([]Task, error) {
	if err := checkBatch("n", n); err != nil {
		return nil, err
	}
	var all []Task
	for looked := false; len(all) < n; {
		turns := s.ring.next(n-len(all), looked)
		if len(turns) == 0 {
			if looked {
				break
			}
			began := time.Now()
			ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) {
				if s.citus {
					return q.ListPendingIntegrationsOnShards(ctx, maxRing)
				}
				return q.ListPendingIntegrations(ctx, maxRing)
			})
			if err != nil {
				return doneBefore(ctx, s, err, once(all))
			}
			s.ring.fill(ids, time.Since(began))
			looked = true
			continue
		}
		ts, err := s.claimTurns(ctx, turns)
		all = append(all, ts...)
		if err != nil {
			return doneBefore(ctx, s, err, once(all))
		}
	}
	return once(all), nil
}

// claimTurns claims of each integration its quota, and takes those that come back short out of the ring.
func (s *Store) claimTurns(ctx context.Context, turns []turn) ([]Task, error) {
	if s.citus {
		return s.claimTurnsOnShards(ctx, turns)
	}
	arg := dbgen.ClaimTasksOfIntegrationsParams{Step: step(), Avoid: s.poison.ids()}
	queues := make([]Filter, len(turns))
	wanted := 0
	for i, t := range turns {
		queues[i] = ByIntegration(t.integration)
		arg.IntegrationIds = append(arg.IntegrationIds, t.integration)
		arg.Quotas = append(arg.Quotas, int32(t.quota))
		wanted += t.quota
	}
	spans, err := s.startClaims(ctx, queues...)
	if err != nil {
		return nil, err
	}
	for _, at := range spans {
		arg.Firsts = append(arg.Firsts, at.at)
	}
	ts, err := s.claimBy(ctx, wanted, func(q *dbgen.Queries) ([]Task, error) {
		return q.ClaimTasksOfIntegrations(ctx, arg)
	})
	apart := s.goesAround(err) // by one statement an integration
	if err != nil && !apart {
		return nil, err
	}
	of := make(map[int64][]Task, len(turns))
	for _, t := range ts {
		of[t.IntegrationID] = append(of[t.IntegrationID], t)
	}
	var all []Task
	for i, t := range turns {
		from, at, got := queues[i], spans[i], of[t.integration]
		if apart {
			got, err = s.claimFrom(ctx, from, at.at, t.quota)
		}
		if err == nil {
			got, err = s.endClaim(ctx, from, at, t.quota, got)
		}
		if all = append(all, got...); err != nil {
			for _, later := range turns[i+1:] { // what they have is claimed all the same
				all = append(all, of[later.integration]...)
			}
			return all, err
		}
		if len(got) < t.quota {
			s.ring.drop(t.integration)
		}
	}
	return all, nil
}

// ring has the integrations that may have pending tasks, and whose turn is next.
type ring struct {
	mu    sync.Mutex
	ids   []int64
	at    int
	until time.Time // it is filled anew then: integrations that are not in it wait at most that long
}

// A ring is good for as long as it took to fill, times ringTimes: so workers spend little on it, and others wait
// little for one that has a backlog.
const (
	maxRing   = 10_000
	ringTimes = 30
	maxAge    = time.Second
)

type turn struct {
	integration int64
	quota       int
}

// next hands out n tasks among the integrations whose turn it is. It returns none if the ring is empty, or old: but a
// claim that has looked for integrations goes on with what it found, however long its statements take.
func (r *ring) next(n int, looked bool) []turn {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ids) == 0 || !looked && !time.Now().Before(r.until) {
		return nil
	}
	turns := make([]turn, min(n, len(r.ids)))
	for i := range turns {
		turns[i] = turn{r.ids[(r.at+i)%len(r.ids)], n / len(turns)}
		if i < n%len(turns) {
			turns[i].quota++
		}
	}
	r.at = (r.at + len(turns)) % len(r.ids)
	return turns
}

// fill puts the integrations into the ring, which goes on where it stood. It took that long to find them.
func (r *ring) fill(ids []int64, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := int64(math.MinInt64)
	if r.at < len(r.ids) {
		last = r.ids[r.at]
	}
	r.ids, r.until = ids, time.Now().Add(min(ringTimes*took, maxAge))
	r.at, _ = slices.BinarySearch(r.ids, last)
	if len(ids) > 0 {
		r.at %= len(ids)
	}
}

// drop takes an integration out that has nothing pending.
func (r *ring) drop(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.ids, id); i >= 0 {
		r.ids = slices.Delete(r.ids, i, i+1)
		if i < r.at {
			r.at--
		}
		if r.at >= len(r.ids) {
			r.at = 0
		}
	}
}
