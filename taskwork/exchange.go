package taskwork

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

// trip is one exchange with the database: the ends of leases go there, and tasks come back.
type trip struct {
	leases []held
	want   int // tasks
	turn   int // the queue of From to begin with
	began  time.Time
	rung   bool // tasks came by this process meanwhile

	ended bool    // the leases are ended, but for those lost
	lost  []int64 // somebody else had changed these tasks
	tasks []taskstore.Task
	err   error
}

// One trip is under way, and what ends meanwhile goes together in the next. Where one takes long, since a row is
// locked or the server is slow, others go beside it; at most half of them carry a lease that goes alone.
const (
	maxTrips  = 4
	longTrip  = 250 * time.Millisecond
	maxEnding = 1000 // leases of a trip
)

// exchange begins a trip if there is something to send or to ask for, and returns when to look again.
func (o *owner) exchange(now time.Time) time.Time {
	due := o.resumeAt
	switch n := len(o.trips); {
	case n == maxTrips:
		return time.Time{}
	case n > 0:
		due = latest(due, o.trips[n-1].began.Add(longTrip))
	}
	if now.Before(due) {
		return due
	}
	t := &trip{leases: o.ready(), want: o.free(), turn: o.turn, began: now}
	switch {
	case len(t.leases) > 0 && t.leases[0].alone:
		t.want = 0
	case len(t.leases) > 0:
	case t.want == 0:
		return time.Time{}
	case now.Before(o.pollAt):
		return o.pollAt
	}
	if t.want > 0 {
		o.turn++
		o.arrival = o.store.Arrival() // before the claim, so that nothing that comes after it is missed
	}
	o.trips = append(o.trips, t)
	o.call(o.patience(), func(ctx context.Context) func() {
		o.travel(ctx, t)
		return func() { o.arrive(t) }
	})
	return now.Add(longTrip)
}

// free is how many handlers could begin now.
func (o *owner) free() int {
	free := o.cfg.Workers - o.running
	for _, t := range o.trips {
		free -= t.want
	}
	if o.stopping {
		free = 0
	}
	return max(free, 0)
}

// ready takes leases whose end waits to be recorded: those that can go together, or one that goes alone.
func (o *owner) ready() (ready []held) {
	o.ended = slices.DeleteFunc(o.ended, func(l *lease) bool {
		switch {
		case l.gone:
			return true
		case len(ready) == maxEnding, len(ready) > 0 && (l.alone || ready[0].alone), l.alone && len(o.trips) >= maxTrips/2:
			return false
		}
		h, ok := l.take()
		if ok {
			ready = append(ready, h)
		}
		return ok
	})
	return ready
}

// travel is a trip's calls of the database.
func (o *owner) travel(ctx context.Context, t *trip) {
	ended, err := o.endsOf(ctx, t.leases)
	if err != nil {
		t.err = err
		return
	}
	from, n := o.cfg.From, t.want
	if o.cfg.Fair {
		n = 0 // an exchange does not take integrations in turn
	}
	t.tasks, err = o.store.Exchange(ctx, ended, from[t.turn%len(from)], n)
	if t.lost, t.err = lostIn(err); t.err != nil {
		return
	}
	t.ended = true
	if o.cfg.Fair && t.want > 0 {
		t.tasks, t.err = o.store.ClaimFair(ctx, t.want)
	}
	for i := 1; i < len(from) && len(t.tasks) < t.want && t.err == nil; i++ {
		var more []taskstore.Task
		more, t.err = o.store.Exchange(ctx, taskstore.Ended{}, from[(t.turn+i)%len(from)], t.want-len(t.tasks))
		t.tasks = append(t.tasks, more...)
	}
}

// endsOf returns how leases end. For tasks that failed it asks how often they did before.
func (o *owner) endsOf(ctx context.Context, leases []held) (e taskstore.Ended, err error) {
	var failed []int64
	for i := range leases {
		h := &leases[i]
		if err := o.store.settle(ctx, h); err != nil {
			return e, err
		}
		switch h.kind {
		case Completed:
			e.Completed = append(e.Completed, h.present())
		case Released:
			e.Released = append(e.Released, h.present())
		default: // Failed
			failed = append(failed, h.task.ID)
		}
	}
	if len(failed) == 0 {
		return e, nil
	}
	before, err := o.store.Failures(ctx, failed...)
	if err != nil {
		return e, err
	}
	for i := range leases {
		h := &leases[i]
		if h.kind != Failed {
			continue
		}
		if !h.decided && !isPermanent(h.err) {
			if in, again := o.cfg.Retry(before[h.task.ID].Count+1, h.err); again {
				h.retryIn = max(in, time.Millisecond)
			}
		}
		h.decided = true
		e.Failed = append(e.Failed, taskstore.Failure{Task: h.present(), Reason: h.err.Error(), RetryIn: h.retryIn})
	}
	return e, nil
}

// arrive ends a trip.
func (o *owner) arrive(t *trip) {
	o.trips = slices.DeleteFunc(o.trips, func(other *trip) bool { return other == t })
	waited := len(t.leases) > 0 && errors.Is(t.err, context.DeadlineExceeded) // for a locked row, most likely
	refused := len(t.leases) > 0 && !t.ended && isRefusal(t.err)
	for _, h := range t.leases {
		l := h.lease
		l.outcome = h.outcome
		switch {
		case l.gone:
		case slices.Contains(t.lost, l.task.ID):
			o.lose(l, nil)
		case t.ended:
			o.drop(l)
			o.tellEnd(l, false)
		case l.alone && refused && h.kind != Completed: // it comes back when it has been silent for long enough
			o.lose(l, t.err)
		default:
			if l.alone && refused {
				h.outcome = outcome{kind: Failed, took: h.took, err: fmt.Errorf("the task's completion was refused: %w", t.err)}
			}
			if l.alone && waited {
				o.tell(Event{Kind: Delayed, Task: l.task, Err: t.err})
			}
			l.unsure = l.unsure || errors.Is(t.err, taskstore.ErrUncertain)
			l.alone = l.alone || refused || waited
			l.version <- h.version
			o.end(l, h.outcome)
		}
	}
	now := time.Now()
	if t.want > 0 {
		o.tell(Event{Kind: Claimed, N: len(t.tasks), Took: now.Sub(t.began), Err: t.err})
	}
	for _, task := range t.tasks {
		o.start(task)
		o.lastHit = now
	}
	switch {
	case t.want == 0:
	case len(t.tasks) == t.want || t.rung:
		o.pollAt = now
	default:
		o.pollAt = now.Add(jitter(min(max(now.Sub(o.lastHit)/16, minPoll), o.cfg.Poll)))
	}
	if !waited && !refused {
		o.heard(t.err)
	}
}
