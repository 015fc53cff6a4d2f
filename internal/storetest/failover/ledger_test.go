//go:build unix

package failover

import (
	"fmt"
	"sync"

	"github.com/tasklane/tasks/taskstore"
)

// ledger is what the callers were told. What ended in an error is not in it: it may have been done or not.
type ledger struct {
	mu        sync.Mutex
	created   map[int64]taskstore.NewTask
	keys      map[string]int64
	steps     map[int64][]step
	completed map[int64]taskstore.Millis // the versions that were presented
	calls     int                        // that were acknowledged
	uncertain int
	problems  []string
}

// step is a change that was acknowledged to the holder of a lease. The versions are those that it presented, 0 for a
// claim, and got.
type step struct{ from, to taskstore.Millis }

func newLedger() *ledger {
	return &ledger{created: map[int64]taskstore.NewTask{}, keys: map[string]int64{},
		steps: map[int64][]step{}, completed: map[int64]taskstore.Millis{}}
}

func (l *ledger) problem(format string, args ...any) {
	l.problems = append(l.problems, fmt.Sprintf(format, args...))
}

// create notes a task that was acknowledged as created.
func (l *ledger) create(id int64, in taskstore.NewTask) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if before, ok := l.keys[in.Key]; ok && in.Key != "" {
		if before != id {
			l.problem("key %s is task %d and task %d", in.Key, before, id)
		}
		return
	}
	if _, ok := l.created[id]; ok {
		l.problem("two creates got task %d", id)
	}
	if l.created[id] = in; in.Key != "" {
		l.keys[in.Key] = id
	}
}

// advance notes a lease that was got, or renewed.
func (l *ledger) advance(id int64, from, to taskstore.Millis) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	for _, s := range l.steps[id] {
		switch {
		case s.to == to:
			l.problem("task %d got version %d twice", id, to)
		case from != 0 && s.from == from:
			l.problem("task %d: version %d was accepted twice", id, from)
		}
	}
	l.steps[id] = append(l.steps[id], step{from, to})
}

// complete notes tasks that were acknowledged as completed.
func (l *ledger) complete(tasks []taskstore.Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	for _, t := range tasks {
		if _, ok := l.completed[t.ID]; ok {
			l.problem("task %d was completed twice", t.ID)
		}
		l.completed[t.ID] = t.UpdatedAt
	}
}

// lost notes a call whose outcome its caller does not know.
func (l *ledger) lost() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.uncertain++
}

// count returns how many calls were acknowledged, and how many tasks were acknowledged as completed.
func (l *ledger) count() (calls, completed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls, len(l.completed)
}

// check compares what was told with what is stored, after the last caller has returned.
func (l *ledger) check(rows map[int64]taskstore.Task, keys map[string]int64) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, in := range l.created {
		row, ok := rows[id]
		switch {
		case !ok:
			l.problem("task %d was created, and is not there", id)
		case row.Argument != in.Argument:
			l.problem("task %d has argument %q, and was created with %q", id, row.Argument, in.Argument)
		}
	}
	for key, id := range l.keys {
		if keys[key] != id {
			l.problem("key %s was told to be task %d, and is task %d", key, id, keys[key])
		}
	}
	for id, presented := range l.completed {
		row := rows[id]
		if row.Status != taskstore.Completed {
			l.problem("task %d was completed, and is %v", id, row.Status)
		}
		l.steps[id] = append(l.steps[id], step{presented, row.UpdatedAt})
	}
	for id, steps := range l.steps {
		for _, s := range steps {
			if row := rows[id]; row.UpdatedAt < s.to {
				l.problem("task %d was given version %d, and is stored with %d", id, s.to, row.UpdatedAt)
			}
			// A version between the two says that somebody else held the task while this holder's lease was alive.
			for _, other := range steps {
				if s.from != 0 && other.to > s.from && other.to < s.to {
					l.problem("task %d: version %d was accepted after version %d had been given out", id, s.from, other.to)
				}
			}
		}
	}
	return l.problems
}
