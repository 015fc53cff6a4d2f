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
	leases []*lease
	alone  bool // it carries one lease whose end failed together with others
	want   int  // tasks
	turn   int  // the queue of From to begin with
	began  time.Time
	rung   bool // tasks came by this process meanwhile
}

// answer is what comes of a trip.
type answer struct {
	ended bool    // the leases are ended, but for those lost
	lost  []int64 // somebody else had changed these tasks
	tasks []taskstore.Task
	err   error
}

// One trip is under way, and what ends meanwhile goes together in the next. Where one takes long, since a row is locked or
// the server is slow, others go beside it.
const (
	maxTrips  = 3 // beside those alone
	maxAlone  = 2
	longTrip  = 250 * time.Millisecond
	maxEnding = 1000 // leases of a trip
)

// exchange begins trips if there is something to send or to ask for, and returns when to look again.
func (o *owner) exchange(now time.Time) time.Time {
	if now.Before(o.resumeAt) {
		return o.resumeAt
	}
	var shared, alone int
	var last time.Time
	for _, t := range o.trips {
		if t.alone {
			alone++
		} else {
			shared, last = shared+1, t.began
		}
	}
	for ; alone < maxAlone; alone++ {
		leases := o.ready(true, 1)
		if len(leases) == 0 {
			break
		}
		o.depart(&trip{leases: leases, alone: true, began: now})
	}
	switch due := last.Add(longTrip); {
	case shared == maxTrips:
		return time.Time{}
	case shared > 0 && now.Before(due):
		return due
	}
	leases, free := o.ready(false, maxEnding), o.free()
	switch {
	case len(leases) > 0:
	case free == 0:
		return time.Time{}
	case now.Before(o.pollAt):
		return o.pollAt
	}
	o.depart(&trip{leases: leases, want: free, turn: o.turn, began: now})
	return now.Add(longTrip)
}

// free is how many handlers could begin now.
func (o *owner) free() int {
	if o.stopping() {
		return 0
	}
	free := o.cfg.Workers - o.running
	for _, t := range o.trips {
		free -= t.want
	}
	return max(free, 0)
}

// ready takes up to n leases from those that wait for their end to be recorded.
func (o *owner) ready(alone bool, n int) []*lease {
	var ready []*lease
	o.ended = slices.DeleteFunc(o.ended, func(l *lease) bool {
		if l.gone {
			return true
		}
		if len(ready) == n || l.alone != alone || l.with != withOwner || l.doubt != 0 {
			return false
		}
		ready = append(ready, l)
		return true
	})
	return ready
}

// depart begins a trip.
func (o *owner) depart(t *trip) {
	for _, l := range t.leases {
		l.with = withExchange
	}
	if t.want > 0 {
		o.turn++
		o.arrival = o.store.Arrival() // before the claim, so that nothing that comes after it is missed
	}
	o.trips = append(o.trips, t)
	o.call(o.patience(), func(ctx context.Context) func() {
		a := o.travel(ctx, t)
		return func() { o.arrive(t, a) }
	})
}

// travel is a trip's call of the database.
func (o *owner) travel(ctx context.Context, t *trip) (a answer) {
	ended, err := o.endsOf(ctx, t.leases)
	if err != nil {
		return answer{err: err}
	}
	from, n := o.cfg.From, t.want
	if o.cfg.Fair {
		n = 0 // an exchange does not take integrations in turn
	}
	conflict := new(taskstore.ConflictError)
	a.tasks, err = o.store.Exchange(ctx, ended, from[t.turn%len(from)], n)
	if err != nil && !errors.As(err, &conflict) {
		return answer{err: err}
	}
	a.ended, a.lost = true, conflict.IDs
	if o.cfg.Fair && t.want > 0 {
		a.tasks, a.err = o.store.ClaimFair(ctx, t.want)
		return a
	}
	for i := 1; i < len(from) && len(a.tasks) < t.want && a.err == nil; i++ {
		var more []taskstore.Task
		more, a.err = o.store.Exchange(ctx, taskstore.Ended{}, from[(t.turn+i)%len(from)], t.want-len(a.tasks))
		a.tasks = append(a.tasks, more...)
	}
	return a
}

// endsOf returns how the leases end. For a task that failed it asks first how often it did before.
func (o *owner) endsOf(ctx context.Context, leases []*lease) (e taskstore.Ended, err error) {
	var failed []int64
	for _, l := range leases {
		switch l.outcome.kind {
		case Completed:
			e.Completed = append(e.Completed, l.task)
		case Released:
			e.Released = append(e.Released, l.task)
		case Failed:
			failed = append(failed, l.task.ID)
		}
	}
	if len(failed) == 0 {
		return e, nil
	}
	before, err := o.store.Failures(ctx, failed...)
	if err != nil {
		return e, err
	}
	for _, l := range leases {
		f := &l.outcome
		if f.kind != Failed {
			continue
		}
		if !f.decided && !isPermanent(f.err) {
			if in, again := o.cfg.Retry(before[l.task.ID].Count+1, f.err); again {
				f.retryIn = max(in, time.Millisecond)
			}
		}
		f.decided = true
		e.Failed = append(e.Failed, taskstore.Failure{Task: l.task, Reason: f.err.Error(), RetryIn: f.retryIn})
	}
	return e, nil
}

// arrive ends a trip.
func (o *owner) arrive(t *trip, a answer) {
	now := time.Now()
	o.trips = slices.DeleteFunc(o.trips, func(other *trip) bool { return other == t })
	waited := len(t.leases) > 0 && errors.Is(a.err, context.DeadlineExceeded) // for one locked row, most likely
	refused := !a.ended && len(t.leases) > 0 && isRefusal(a.err)
	for _, l := range t.leases {
		l.with = withOwner
		switch {
		case a.ended && slices.Contains(a.lost, l.task.ID):
			o.lose(l, nil)
		case a.ended:
			o.drop(l)
			o.tellEnd(l, false)
		case o.leases[l.task.ID] != l: // somebody put it back, and we have claimed it anew
			o.lose(l, nil)
		default:
			l.unsure = l.unsure || errors.Is(a.err, taskstore.ErrUncertain)
			switch {
			case t.alone && refused:
				o.refuse(l, a.err)
			case t.alone && waited:
				o.tell(Event{Kind: Delayed, Task: l.task, Err: a.err})
			}
			l.alone = l.alone || refused || waited
			o.ended = append(o.ended, l)
		}
		o.lend(l)
	}
	if t.want > 0 {
		o.tell(Event{Kind: Claimed, N: len(a.tasks), Took: now.Sub(t.began), Err: a.err})
	}
	for _, task := range a.tasks {
		o.start(task, t.began)
		o.lastHit = now
	}
	switch {
	case t.want == 0:
	case len(a.tasks) == t.want || t.rung:
		o.pollAt = now
	default:
		o.pollAt = now.Add(jitter(min(max(now.Sub(o.lastHit)/16, minPoll), o.cfg.Poll)))
	}
	switch {
	case isMisuse(a.err):
		o.misuse = a.err
	case refused:
		o.heard(nil)
	case !waited:
		o.heard(a.err)
	}
}

// refuse deals with a lease whose end the server refuses. A completion becomes a failure; what else is refused comes
// back when it has been silent for long enough.
func (o *owner) refuse(l *lease, err error) {
	if l.outcome.kind != Completed {
		o.lose(l, err)
		return
	}
	l.outcome = outcome{kind: Failed, err: fmt.Errorf("the handler succeeded, and the task's completion was refused: %w", err)}
}
