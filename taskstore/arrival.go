package taskstore

import (
	"slices"
	"sync"
)

// Arrival returns a channel that gets a value when this Store, or one that [Store.WithTx] made of it, has made a task
// pending: created one that one of from selects (as for [Store.ClaimBy]; none: any), or put back one of any kind. It
// holds one value until that is received, so claim after each, and no task of this process goes unnoticed. What happens
// in a caller's transaction is announced at once, which may be before its commit; what other processes do is not
// announced. Call stop when nobody receives any more.
func (s *Store) Arrival(from ...Filter) (arrived <-chan struct{}, stop func()) {
	a, ch := s.arrivals, make(chan struct{}, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting[ch] = slices.Clone(from)
	return ch, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, ch)
	}
}

// arrivals announce that tasks have become pending.
type arrivals struct {
	mu      sync.Mutex
	waiting map[chan struct{}][]Filter
}

func newArrivals() *arrivals { return &arrivals{waiting: make(map[chan struct{}][]Filter)} }

// announce tells of tasks that were created; without any, of some that were put back.
func (a *arrivals) announce(created ...NewTask) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for ch, from := range a.waiting {
		wanted := func(t NewTask) bool {
			return slices.ContainsFunc(from, func(f Filter) bool { return f.takes(t) })
		}
		if len(created) == 0 || len(from) == 0 || slices.ContainsFunc(created, wanted) {
			select {
			case ch <- struct{}{}:
			default: // it holds one
			}
		}
	}
}

// putBack notes that tasks with these ids are pending again.
func (s *Store) putBack(ids ...int64) {
	if len(ids) > 0 {
		s.marks.lower(slices.Min(ids))
		s.anchors.forget()
		s.arrivals.announce()
	}
}
