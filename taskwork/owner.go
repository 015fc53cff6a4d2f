package taskwork

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// owner owns the leases of a Run. One goroutine, that of run, reads and writes its fields. Everybody else, handlers
// and calls of the database, sends it what to do.
type owner struct {
	store    store
	cfg      Config
	handler  Handler
	inbox    chan func()
	calls    context.Context // what calls of the database get; ends when nobody reads the inbox any more
	handlers context.Context // what handlers get
	work     sync.WaitGroup  // calls under way

	leases map[int64]*lease // of tasks that are held, by id
	ended  []*lease         // those whose end waits to be recorded
	free   int              // handlers for whom no task is here or asked for

	trips   int       // exchanges under way, but for a repair
	tripAt  time.Time // when the next may begin all the same
	turn    int       // of From, the one to claim from next
	arrived bool      // tasks came by this process since the last claim began
	lastHit time.Time // when tasks came last
	pollAt  time.Time // when to look for tasks

	beating   bool      // a heartbeat is under way
	beatAt    time.Time // when the next is due
	repairing bool      // delayed ends are sent
	keeping   bool      // upkeep is under way
	retryAt   time.Time // when to look for failed tasks that are due
	requeueAt time.Time // when to look for tasks of silent workers

	awaySince time.Time     // the database is away; zero: it is not
	cutOff    bool          // and leases may not have been renewed meanwhile
	backoff   time.Duration // before the next try
	resumeAt  time.Time     // when that is

	stopping bool // nothing is claimed any more
	left     bool // handlers that have not returned are not waited for
	late     bool // nothing is waited for
}

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	returnTime   = time.Second // what handlers get to return when their context has ended
)

// run is the owner's goroutine.
func (o *owner) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	calls, endCalls := context.WithCancel(context.WithoutCancel(ctx))
	handlers, endHandlers := context.WithCancel(calls)
	o.calls, o.handlers = calls, handlers
	o.inbox, o.leases, o.free = make(chan func(), 2*o.cfg.Workers), make(map[int64]*lease), o.cfg.Workers
	now := time.Now()
	o.lastHit, o.beatAt, o.requeueAt = now, now.Add(o.beatEvery()), now.Add(o.cfg.SilentFor)
	defer context.AfterFunc(ctx, func() { o.do(func() { o.stop(endHandlers) }) })()
	defer func() {
		endCalls()
		o.work.Wait()
	}()

	arrival, ignore := o.store.Arrival(o.cfg.From...)
	defer ignore()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !o.done() {
		timer.Reset(o.act(time.Now()))
		select {
		case f := <-o.inbox:
			f()
			for len(o.inbox) > 0 { // what ends together is recorded together
				(<-o.inbox)()
			}
		case <-arrival:
			now := time.Now()
			o.arrived, o.lastHit, o.pollAt = true, now, now
		case <-timer.C:
		}
	}
	if n := len(o.leases); n > 0 {
		return fmt.Errorf("taskwork: stopped before the ends of %d tasks were recorded, since the database did not answer "+
			"or their rows were locked: they come back when they have been silent for %v", n, o.cfg.SilentFor)
	}
	return nil
}

// do has the owner's goroutine do f. Once Run is over, nothing is done.
func (o *owner) do(f func()) {
	select {
	case o.inbox <- f:
	case <-o.calls.Done():
	}
}

// act begins what is due, and returns when to look again.
func (o *owner) act(now time.Time) time.Duration {
	if wait := o.resumeAt.Sub(now); wait > 0 {
		return wait
	}
	return min(o.exchange(now), o.beat(now), o.keep(now))
}

// never is when to look again where something else has to happen first.
const never = time.Hour

// call calls the database in a goroutine of its own, for at most that long, and has the owner's do the answer.
func (o *owner) call(timeout time.Duration, f func(context.Context) (answer func())) {
	o.work.Go(func() {
		ctx, cancel := context.WithTimeout(o.calls, timeout)
		defer cancel()
		o.do(f(ctx))
	})
}

// patience is how long a call of the database may take.
func (o *owner) patience() time.Duration { return o.cfg.SilentFor / 3 }

// heard notes whether the database answered, and otherwise whether heartbeats may fail, too, of everybody.
func (o *owner) heard(err error, cutOff bool) {
	now := time.Now()
	switch {
	case err != nil:
		if o.awaySince.IsZero() {
			o.awaySince, o.backoff = now, firstBackoff
			o.tell(Event{Kind: Away, Err: err})
		}
		o.cutOff = o.cutOff || cutOff
		o.resumeAt = now.Add(jitter(o.backoff))
		o.backoff = min(2*o.backoff, maxBackoff, o.beatEvery())
	case !o.awaySince.IsZero():
		o.tell(Event{Kind: Back, Took: now.Sub(o.awaySince)})
		o.awaySince, o.resumeAt = time.Time{}, time.Time{}
		if o.cutOff {
			o.cutOff = false
			o.requeueAt = now.Add(o.cfg.SilentFor) // all need the time to renew their leases
		}
	}
}

// jitter returns d shortened by up to a half at random, so that workers do not go in step.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// stop begins the stop: handlers get Grace, then their context ends, then the tasks of those that still have not
// returned are released, and in the end nothing is waited for.
func (o *owner) stop(endHandlers func()) {
	o.stopping = true
	after := func(d time.Duration, f func()) { time.AfterFunc(d, func() { o.do(f) }) }
	after(o.cfg.Grace, endHandlers)
	after(o.cfg.Grace+returnTime, func() {
		o.left = true
		for _, l := range o.leases {
			if l.end.Kind == "" {
				o.end(l, Event{Kind: Released})
			}
		}
	})
	after(o.cfg.Grace+returnTime+o.patience(), func() { o.late = true })
}

// done reports whether all that was claimed has come to its end.
func (o *owner) done() bool {
	return o.late || o.stopping && len(o.leases) == 0 && o.trips == 0 && (o.left || o.free == o.cfg.Workers)
}
