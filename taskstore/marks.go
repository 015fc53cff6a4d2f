package taskstore

import (
	"math"
	"sync"
	"time"
)

// marks are low-water marks: for each queue that is claimed from, the id below which no pending task
// is expected. A claim that starts there does not visit the index entries of tasks that left the
// queue, which cannot be removed while any transaction holds an old snapshot.
//
// A mark may be wrong, since ids do not commit in order and other programs put tasks back. So it is
// only a place to start: a claim that comes back short looks below it, and after a second it is
// forgotten. Nothing pending is passed over for longer than that.
type marks struct {
	mu   sync.Mutex
	gen  uint64 // counts the calls of lower
	from map[queue]mark
}

// queue is what a claim takes from: the pending tasks of one batch, or all.
type queue struct {
	oneBatch bool
	batch    Batch
}

type mark struct {
	first int64     // start here
	since time.Time // when a claim last started at the bottom
	gen   uint64
}

const (
	bottom   = math.MinInt64
	markAge  = time.Second
	maxMarks = 1024 // of batches; those that have expired are dropped beyond it
)

func newMarks() *marks { return &marks{from: make(map[queue]mark)} }

// start returns where a claim from q begins.
func (m *marks) start(q queue) mark {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	mk, ok := m.from[q]
	if !ok || now.Sub(mk.since) >= markAge {
		if !ok && len(m.from) >= maxMarks {
			for q, mk := range m.from {
				if now.Sub(mk.since) >= markAge {
					delete(m.from, q)
				}
			}
		}
		mk = mark{first: bottom, since: now}
		m.from[q] = mk
	}
	mk.gen = m.gen
	return mk
}

// advance notes that a claim which began at mk took all it wanted, the last of them with id last. It
// does nothing if a task was put back since, or if the mark was forgotten since: a claim that began
// before says nothing of what the one that began at the bottom has left there.
func (m *marks) advance(q queue, mk mark, last int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now, ok := m.from[q]
	if ok && m.gen == mk.gen && now.since.Equal(mk.since) && last < math.MaxInt64 && last+1 > now.first {
		now.first = last + 1
		m.from[q] = now
	}
}

// rewind makes the next claim from q start at the bottom.
func (m *marks) rewind(q queue) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.from, q)
}

// lower notes that a task with that id, or one above it, is pending again.
func (m *marks) lower(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gen++
	for q, mk := range m.from {
		if mk.first > id {
			mk.first = id
			m.from[q] = mk
		}
	}
}
