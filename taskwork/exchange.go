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
	repair bool             // of ends that were delayed
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
	maxTrips  = 3 // beside a repair
	longTrip  = 250 * time.Millisecond
	maxEnding = 1000 // leases of a trip
)

// exchange begins a trip if there is something to send or to ask for, and returns when to look again.
func (o *owner) exchange(now time.Time) time.Duration {
	second := o.trips == 1 && 2*len(o.ended) >= o.cfg.Workers
	if o.trips == maxTrips || o.trips > 0 && now.Before(o.tripAt) && !second {
		return longTrip
	}
	t := &trip{from: o.cfg.From[o.turn%len(o.cfg.From)], began: now}
	o.ended = o.load(t, o.ended)
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
		o.arrived = false // what comes from now on may come too late for this claim
	}
	o.trips, o.tripAt = o.trips+1, now.Add(longTrip)
	o.depart(t)
	return longTrip
}

// repair begins a trip of ends that were delayed, of tasks that a heartbeat has just renewed: so their rows are free.
// It claims nothing, since the claim may have been why, and if it fails, each end goes alone. No other trip waits for
// it.
func (o *owner) repair(renewed []*lease) {
	if o.repairing {
		return
	}
	t := &trip{repair: true}
	o.load(t, slices.DeleteFunc(renewed, func(l *lease) bool { return !l.delayed }))
	if len(t.leases) > 0 {
		o.repairing = true
		o.depart(t)
	}
}

// load has t take those of leases whose end can be sent, and returns the others that are held.
func (o *owner) load(t *trip, leases []*lease) (rest []*lease) {
	return slices.DeleteFunc(leases, func(l *lease) bool {
		if !o.holds(l) {
			return true
		}
		if len(t.leases) == maxEnding || !l.take() {
			return false
		}
		t.leases, l.sending = append(t.leases, l), true
		return true
	})
}

// depart begins a trip.
func (o *owner) depart(t *trip) {
	o.work.Go(func() {
		o.travel(t)
		o.do(func() { o.arrive(t) })
	})
}

// travel is a trip's calls of the database. It notes in each lease what became of its end.
func (o *owner) travel(t *trip) {
	ctx, cancel := context.WithTimeout(o.calls, o.patience())
	defer cancel()
	n := t.want
	if o.cfg.Fair { // an exchange does not take integrations in turn
		n = 0
	}
	ends, err := o.endsOf(ctx, t.leases)
	if err == nil {
		t.tasks, err = o.store.Exchange(ctx, ends, t.from, n)
	}
	var lost []int64
	lost, t.err = lostIn(err)
	for _, l := range t.leases {
		if l.sent = t.err; slices.Contains(lost, l.task.ID) {
			l.sent = err
		}
		l.unsure = l.unsure || errors.Is(l.sent, taskstore.ErrUncertain)
	}
	if len(t.leases) > 1 && (refused(t.err) || t.repair && delaying(t.err)) { // one of them may be why
		for _, l := range t.leases {
			o.travel(&trip{leases: []*lease{l}})
		}
	}
	if n < t.want && t.err == nil {
		t.tasks, t.err = o.store.ClaimFair(ctx, t.want)
	}
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
	if t.repair {
		o.repairing = false
	} else {
		o.trips, o.tripAt = o.trips-1, now
	}
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
	if len(t.tasks) < t.want && !o.arrived {
		o.pollAt = now.Add(o.rest(now.Sub(o.lastHit)))
	}
}

// record notes what became of a lease's end.
func (o *owner) record(l *lease) {
	defer l.giveBack()
	l.sending = false
	if l.unsure {
		l.maybe = cmp.Or(l.maybe, l.end.Kind)
	}
	switch err := l.sent; {
	case err == nil:
		o.drop(l, l.end)
		return
	case isConflict(err) && l.advance():
	case isConflict(err):
		o.lose(l, nil)
		return
	case delaying(err):
		if !l.delayed {
			l.delayed, o.beatAt = true, time.Time{}
		}
		o.tell(Event{Kind: Delayed, Task: l.task, Err: err})
	case refused(err) && l.end.Kind == Completed:
		l.end.Kind, l.end.Err = Failed, fmt.Errorf("the task's completion was refused: %w", err)
	case refused(err): // it comes back when it has been silent for long enough
		o.lose(l, err)
		return
	}
	if !l.delayed {
		o.ended = append(o.ended, l)
	}
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
