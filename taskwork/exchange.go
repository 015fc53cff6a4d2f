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
	want   int // tasks
	turn   int // of From, the one to claim from
	began  time.Time

	ended bool    // the leases are ended, but for those lost
	lost  []int64 // these tasks were not at the version that was presented
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

// An idle worker looks about ten times a second, so that it soon notices what other processes create. It waits for Poll
// where nothing has come for long.
const (
	minPoll   = 10 * time.Millisecond
	shortPoll = 120 * time.Millisecond
	longIdle  = time.Hour
)

// exchange begins a trip if there is something to send or to ask for, and returns when to look again.
func (o *owner) exchange(now time.Time) time.Time {
	if n := len(o.trips); n == maxTrips {
		return time.Time{}
	} else if n > 0 {
		if due := o.trips[n-1].began.Add(longTrip); now.Before(due) {
			return due
		}
	}
	t := &trip{leases: o.ready(), want: o.free, turn: o.turn, began: now}
	if o.stopping || len(t.leases) > 0 && t.leases[0].alone {
		t.want = 0
	}
	switch {
	case len(t.leases) > 0:
	case t.want == 0:
		return time.Time{}
	case now.Before(o.pollAt):
		return o.pollAt
	}
	if t.want > 0 {
		o.free -= t.want
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

// ready takes leases whose end waits to be recorded: those that can go together, or one that goes alone.
func (o *owner) ready() (ready []*lease) {
	o.ended = slices.DeleteFunc(o.ended, func(l *lease) bool {
		switch {
		case !o.holds(l):
			return true
		case len(ready) == maxEnding, len(ready) > 0 && (l.alone || ready[0].alone),
			l.alone && len(o.trips) >= maxTrips/2, !l.take():
			return false
		}
		ready = append(ready, l)
		return true
	})
	return ready
}

// travel is a trip's calls of the database.
func (o *owner) travel(ctx context.Context, t *trip) {
	ends, err := o.endsOf(ctx, t.leases)
	if err != nil {
		t.err = err
		return
	}
	n := t.want
	if o.cfg.Fair {
		n = 0 // an exchange does not take integrations in turn
	}
	t.tasks, err = o.store.Exchange(ctx, ends, o.cfg.From[t.turn%len(o.cfg.From)], n)
	t.lost, t.err = lostIn(err)
	t.ended = t.err == nil
	if o.cfg.Fair && t.ended && t.want > 0 {
		t.tasks, t.err = o.store.ClaimFair(ctx, t.want)
	}
}

// endsOf returns what to send. Of tasks that failed it asks how often they did before.
func (o *owner) endsOf(ctx context.Context, leases []*lease) (e taskstore.Ended, err error) {
	var failed []int64
	for _, l := range leases {
		if l.end.Kind == Failed {
			failed = append(failed, l.task.ID)
		}
	}
	before, err := o.store.Failures(ctx, failed...)
	for _, l := range leases {
		switch t := l.present(); l.end.Kind {
		case Completed:
			e.Completed = append(e.Completed, t)
		case Released:
			e.Released = append(e.Released, t)
		default:
			l.retryIn = o.retryIn(before[t.ID].Count+1, l.end.Err)
			e.Failed = append(e.Failed, taskstore.Failure{Task: t, Reason: l.end.Err.Error(), RetryIn: l.retryIn})
		}
	}
	return e, err
}

// rest returns how long to wait after a claim that found nothing more, if nothing has come for that long.
func (o *owner) rest(idle time.Duration) time.Duration {
	wait := min(max(idle/16, minPoll), o.cfg.Poll)
	if idle < longIdle {
		wait = min(wait, shortPoll)
	}
	return jitter(wait)
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
	o.trips = slices.DeleteFunc(o.trips, func(other *trip) bool { return other == t })
	for _, l := range t.leases {
		o.record(l, t)
	}
	if t.want > 0 {
		o.tell(Event{Kind: Claimed, N: len(t.tasks), Took: now.Sub(t.began), Err: t.err})
		o.claimed(t, now)
	}
	if len(t.leases) == 0 || !locked(t.err) && !refused(t.err) {
		o.heard(t.err)
	}
}

// claimed begins to work on what came, and decides when to ask for more.
func (o *owner) claimed(t *trip, now time.Time) {
	o.free += t.want - len(t.tasks)
	for _, task := range t.tasks {
		o.lastHit = now
		o.start(task)
	}
	o.pollAt = now
	if o.empty++; len(t.tasks) == t.want || o.arrival == nil {
		o.empty = 0
	} else if o.empty == len(o.cfg.From) {
		o.empty = 0
		o.pollAt = now.Add(o.rest(now.Sub(o.lastHit)))
	}
}

// record notes what became of a lease's end.
func (o *owner) record(l *lease, t *trip) {
	defer l.giveBack()
	switch {
	case slices.Contains(t.lost, l.task.ID):
		if !l.advance() {
			o.lose(l, nil)
			return
		}
	case t.ended:
		l.end.RetryIn = l.retryIn
		o.drop(l, l.end)
		return
	case !l.alone:
		l.alone = locked(t.err) || refused(t.err)
	case locked(t.err):
		o.tell(Event{Kind: Delayed, Task: l.task, Err: t.err})
	case refused(t.err) && l.end.Kind == Completed:
		l.end.Kind, l.end.Err = Failed, fmt.Errorf("the task's completion was refused: %w", t.err)
	case refused(t.err): // it comes back when it has been silent for long enough
		o.lose(l, t.err)
		return
	}
	if errors.Is(t.err, taskstore.ErrUncertain) {
		l.maybe = cmp.Or(l.maybe, l.end.Kind)
	}
	o.ended = append(o.ended, l)
}
