package taskstore

import (
	"slices"
	"sync"
)

// Arrival returns a channel that is closed when this Store, or one that [Store.WithTx] made of it, next makes a task
// pending: creates one or puts one back. Take the channel, claim, and wait for it where nothing was to be claimed: so
// no task of this process goes unnoticed. What happens in a caller's transaction is announced at once, which may be
// before its commit; what other processes do is not announced.
func (s *Store) Arrival() <-chan struct{} { return s.arrivals.next() }

// arrivals announce that tasks have become pending.
type arrivals struct {
	mu sync.Mutex
	ch chan struct{} // nil if nobody waits
}

func (a *arrivals) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch == nil {
		a.ch = make(chan struct{})
	}
	return a.ch
}

func (a *arrivals) announce() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ch != nil {
		close(a.ch)
		a.ch = nil
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
