package taskwork

import (
	"cmp"
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
	want   int              // tasks
	from   taskstore.Filter // where to claim
	began  time.Time
	tasks  []taskstore.Task
	err    error
}

// One trip is under way, and what ends meanwhile goes together in the next. When half of the handlers have ended, it
// goes at once: so the ones work while the server is busy with the others. Where a trip takes long, since a row is
// locked, a connection has gone mute or the server is slow, others overtake it.
const (
	maxTrips  = 4
	longTrip  = 250 * time.Millisecond
	maxEnding = 1000 // leases of a trip
)

// exchange begins a trip if there is something to send or to ask for, and returns when to look again.
func (o *owner) exchange(now time.Time) time.Duration {
	second := o.trips == 1 && 2*len(o.ended) >= o.cfg.Workers
	if o.trips == maxTrips || o.trips > 0 && now.Before(o.tripAt) && !second {
		return longTrip
	}
	t := &trip{leases: o.ready(), from: o.cfg.From[o.turn%len(o.cfg.From)], began: now}
	wait := max(o.pollAt.Sub(now), 0)
	if !o.stopping && (wait == 0 || len(t.leases) > 0) {
		t.want = o.free
	}
	if t.want == 0 && len(t.leases) == 0 {
		return cmp.Or(wait, never)
	}
	if t.want > 0 {
		o.free -= t.want
		o.turn++
		o.arrival = o.store.Arrival() // before the claim, so that nothing that comes after it is missed
	}
	o.trips, o.tripAt = o.trips+1, now.Add(longTrip)
	o.call(o.patience(), func(ctx context.Context) func() {
		o.travel(ctx, t)
		return func() { o.arrive(t) }
	})
	return longTrip
}

// ready takes leases whose end can be sent. One that was delayed waits for the heartbeat that renews it: then its row
// is free. One that was delayed again goes alone: it may be why others were.
func (o *owner) ready() (ready []*lease) {
	alone := false
	o.ended = slices.DeleteFunc(o.ended, func(l *lease) bool {
		switch {
		case !o.holds(l):
			return true
		case alone || l.delays > 1 && len(ready) > 0 || len(ready) == maxEnding || !l.take():
			return false
		case l.delayedAt == l.versions[0]:
			l.giveBack()
			return false
		}
		alone = l.delays > 1
		ready = append(ready, l)
		return true
	})
	return ready
}

// travel is a trip's calls of the database.
func (o *owner) travel(ctx context.Context, t *trip) {
	// An exchange does not take integrations in turn. And a claim may be why ends were delayed.
	apart := o.cfg.Fair || slices.ContainsFunc(t.leases, func(l *lease) bool { return l.delays > 0 })
	n := t.want
	if apart {
		n = 0
	}
	t.tasks, t.err = o.send(ctx, t.leases, t.from, n)
	if refused(t.err) && len(t.leases) > 1 { // for one of them: the others can be ended without it
		for _, l := range t.leases {
			_, t.err = o.send(ctx, []*lease{l}, t.from, 0)
		}
	}
	switch {
	case !apart || t.want == 0 || t.err != nil && !delaying(t.err):
	case o.cfg.Fair:
		t.tasks, t.err = o.store.ClaimFair(ctx, t.want)
	default:
		t.tasks, t.err = o.store.Exchange(ctx, taskstore.Ended{}, t.from, t.want)
	}
}

// send ends leases, notes in each what became of that, and claims n tasks.
func (o *owner) send(
	ctx context.Context, leases []*lease, from taskstore.Filter, n int,
) (ts []taskstore.Task, err error) {
	ends, err := o.endsOf(ctx, leases)
	if err == nil {
		ts, err = o.store.Exchange(ctx, ends, from, n)
	}
	lost, other := lostIn(err)
	for _, l := range leases {
		if l.sent = other; slices.Contains(lost, l.task.ID) {
			l.sent = err
		}
	}
	return ts, other
}

// endsOf returns how leases end. Of tasks that failed it asks how often they did before.
func (o *owner) endsOf(ctx context.Context, leases []*lease) (e taskstore.Ended, err error) {
	var failed []int64
	for _, l := range leases {
		if l.end.Kind == Failed {
			failed = append(failed, l.task.ID)
		}
	}
	before, err := o.store.Failures(ctx, failed...)
	if err != nil {
		return e, err
	}
	for _, l := range leases {
		switch t := l.present(); l.end.Kind {
		case Completed:
			e.Completed = append(e.Completed, t)
		case Released:
			e.Released = append(e.Released, t)
		default:
			l.end.RetryIn = o.retryIn(before[t.ID].Count+1, l.end.Err)
			e.Failed = append(e.Failed, taskstore.Failure{Task: t, Reason: l.end.Err.Error(), RetryIn: l.end.RetryIn})
		}
	}
	return e, nil
}

// retryIn returns after how long a task is tried again; 0: never.
func (o *owner) retryIn(failures int, err error) time.Duration {
	if !errors.As(err, new(permanentError)) {
		if in, again := o.cfg.Retry(failures, err); again {
			return max(in, time.Millisecond)
		}
	}
	return 0
}

// arrive ends a trip.
func (o *owner) arrive(t *trip) {
	now := time.Now()
	o.trips, o.tripAt = o.trips-1, now
	if len(t.leases) == 0 || !delaying(t.err) && !refused(t.err) {
		o.heard(t.err, true)
	}
	for _, l := range t.leases {
		o.record(l)
	}
	if t.want == 0 {
		return
	}
	o.tell(Event{Kind: Claimed, N: len(t.tasks), Took: now.Sub(t.began), Err: t.err})
	o.free += t.want - len(t.tasks)
	for _, task := range t.tasks {
		o.lastHit = now
		o.start(task)
	}
	o.pollAt = now
	if len(t.tasks) < t.want && o.arrival != nil {
		o.pollAt = now.Add(o.rest(now.Sub(o.lastHit)))
	}
}

// record notes what became of a lease's end.
func (o *owner) record(l *lease) {
	defer l.giveBack()
	switch err := l.sent; {
	case err == nil:
		o.drop(l, l.end)
		return
	case isConflict(err) && l.advance():
	case isConflict(err):
		o.lose(l, nil)
		return
	case delaying(err):
		if l.delays == 0 {
			o.beatAt = time.Time{}
		}
		l.delays, l.delayedAt = l.delays+1, l.versions[0]
		o.tell(Event{Kind: Delayed, Task: l.task, Err: err})
	case refused(err) && l.end.Kind == Completed:
		l.end.Kind, l.end.Err = Failed, fmt.Errorf("the task's completion was refused: %w", err)
	case refused(err): // it comes back when it has been silent for long enough
		o.lose(l, err)
		return
	}
	if errors.Is(l.sent, taskstore.ErrUncertain) {
		l.maybe = cmp.Or(l.maybe, l.end.Kind)
	}
	o.ended = append(o.ended, l)
}

// An idle worker looks at a queue about ten times a second, so that it soon notices what other processes create. That
// costs it and the server less than one percent of a core. At many queues it looks more seldom, but for what Poll says.
// After an hour without a task it looks as seldom as Poll says.
const (
	minPoll   = 2 * time.Millisecond
	shortPoll = 120 * time.Millisecond // of one queue
	manyPoll  = 20 * time.Millisecond  // of any
	longIdle  = time.Hour
)

// rest returns how long to wait before the next queue is looked at, if nothing has come for that long.
func (o *owner) rest(idle time.Duration) time.Duration {
	queues := time.Duration(len(o.cfg.From))
	wait := min(max(idle/16, minPoll), o.cfg.Poll) / queues
	if idle < longIdle {
		wait = min(wait, max(shortPoll/queues, manyPoll))
	}
	return jitter(wait)
}
