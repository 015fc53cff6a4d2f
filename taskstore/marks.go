package taskstore

import (
	"math"
	"sync"
	"time"
)

// marks are low-water marks: for each queue that is claimed from, the id below which no pending task is expected. A
// claim that starts there does not visit the index entries of tasks that left the queue, which cannot be removed while
// any transaction holds an old snapshot.
//
// A mark may be wrong, since ids do not commit in order and other programs put tasks back. So a claim that comes back
// short looks again from where the mark stood a second ago, and once a second a claim starts at the bottom. Ids that
// commit up to a second out of order are found at once, and nothing pending is passed over for longer than a second.
type marks struct {
	mu   sync.Mutex
	of   map[Filter]*mark
	gens uint64 // counts how often marks went down
}

type mark struct {
	at     int64     // claims start here
	before int64     // where it stood at noted
	lagged int64     // where it stood a second or more before noted
	noted  time.Time // when before was taken
	looked time.Time // when a claim last started at the bottom
}

// span says where a claim starts.
type span struct {
	at     int64 // start here
	lagged int64 // where to look again if that comes back short
	bottom bool  // at is the bottom
	newest int64 // the newest id before a claim from the bottom
	gen    uint64
}

const (
	bottom   = math.MinInt64
	markAge  = time.Second
	maxMarks = 4096 // queues; beyond it one is forgotten, which costs its next claim a look from the bottom
)

func newMarks() *marks { return &marks{of: make(map[Filter]*mark)} }

// start returns where a claim from q begins.
func (m *marks) start(q Filter) span {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	mk := m.of[q]
	if mk == nil {
		if len(m.of) >= maxMarks {
			for other := range m.of { // the order of a map is random
				delete(m.of, other)
				break
			}
		}
		mk = &mark{at: bottom, before: bottom, lagged: bottom, noted: now}
		m.of[q] = mk
	}
	if age := now.Sub(mk.noted); age >= markAge {
		mk.lagged = mk.before
		if age >= 2*markAge {
			mk.lagged = mk.at
		}
		mk.before, mk.noted = mk.at, now
	}
	s := span{at: mk.at, lagged: mk.lagged, gen: m.gens}
	if now.Sub(mk.looked) >= markAge {
		mk.looked = now
		s.at, s.lagged, s.bottom = bottom, bottom, true
	}
	return s
}

// move notes that the claim which began at s left nothing pending below id, or below what another claim found
// meanwhile. It changes nothing if a task was put back since.
func (m *marks) move(q Filter, s span, id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mk := m.of[q]
	switch {
	case mk == nil || m.gens != s.gen:
	case s.bottom && id < mk.at: // somebody else put tasks back, and more of them may be left
		m.gens++
		mk.at, mk.before, mk.lagged = id, min(mk.before, id), min(mk.lagged, id)
	default:
		mk.at = max(mk.at, id)
	}
}

// lower notes that a task with that id, or one above it, is pending again.
func (m *marks) lower(id int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gens++
	for _, mk := range m.of {
		mk.at, mk.before, mk.lagged = min(mk.at, id), min(mk.before, id), min(mk.lagged, id)
	}
}
