package taskwork

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// owner owns the leases of a Run. One goroutine, that of run, reads and writes its fields. Everybody else, handlers and calls
// of the database, sends it what to do.
type owner struct {
	store    store
	cfg      Config
	handler  Handler
	handlers context.Context // what handlers get
	calls    context.Context // what calls of the database get
	inbox    chan func()
	over     chan struct{} // closed when nobody reads the inbox any more
	work     sync.WaitGroup

	leases  map[int64]*lease // of tasks that are held, by id
	ended   []*lease         // those whose end waits to be recorded
	running int              // handlers that have not returned
	trips   []*trip          // exchanges under way
	turn    int              // of From, the one to claim from next
	arrival <-chan struct{}  // closed when tasks came by this process since the last claim; nil: none has begun since
	lastHit time.Time        // when tasks came last
	pollAt  time.Time        // when to look for tasks

	beating   bool
	beatAt    time.Time
	keeping   bool
	retryAt   time.Time // when to look for failed tasks that are due
	requeueAt time.Time // when to look for tasks of silent workers

	awaySince time.Time     // the database is away; zero: it is not
	backoff   time.Duration // before the next try
	resumeAt  time.Time     // when that is
	quietTill time.Time     // no requeues before

	stage    stage
	deadline time.Time // of the stage
	misuse   error     // why Run stops by itself
}

// stage is how far a stop has come. In each one everything is done that is done in those before.
type stage int

const (
	working   stage = iota
	draining        // ctx has ended: nothing is claimed
	giveUp          // Grace has passed: the handlers' context has ended
	releasing       // handlers were given time to return: the tasks of the others are released
	late            // there was time to record all that: the rest comes back when it has been silent for long enough
)

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	minPoll      = 10 * time.Millisecond
	returnTime   = time.Second // what handlers get to return when their context has ended
)

func newOwner(ctx context.Context, s store, cfg Config, h Handler) *owner {
	now := time.Now()
	return &owner{
		store: s, cfg: cfg, handler: h,
		inbox: make(chan func(), 2*cfg.Workers), over: make(chan struct{}),
		leases: make(map[int64]*lease), lastHit: now, pollAt: now,
		beatAt: now.Add(cfg.SilentFor / 6), retryAt: now, quietTill: now.Add(cfg.SilentFor),
	}
}

// run is the owner's goroutine.
func (o *owner) run(ctx context.Context) error {
	var endHandlers context.CancelCauseFunc
	o.handlers, endHandlers = context.WithCancelCause(context.WithoutCancel(ctx))
	var endCalls context.CancelFunc
	o.calls, endCalls = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		close(o.over)
		endHandlers(nil)
		endCalls()
		o.work.Wait()
	}()

	timer := time.NewTimer(0)
	defer timer.Stop()
	ended := ctx.Done()
	for {
		select {
		case f := <-o.inbox:
			f()
			o.drain()
		case <-timer.C:
		case <-o.arrival:
			now := time.Now()
			o.arrival, o.lastHit, o.pollAt = nil, now, now
			for _, t := range o.trips {
				t.rung = true
			}
		case <-ended:
			ended = nil
		}
		now := time.Now()
		if o.stage == working && (ctx.Err() != nil || o.misuse != nil) {
			o.enter(draining, o.cfg.Grace)
		}
		if o.stopping() && !now.Before(o.deadline) {
			o.nextStage(endHandlers)
		}
		if o.done() {
			return o.farewell()
		}
		timer.Reset(time.Until(o.act(now)))
	}
}

// act begins what is due, and returns when to look again.
func (o *owner) act(now time.Time) time.Time {
	next := now.Add(time.Hour)
	if o.stopping() {
		next = o.deadline
	}
	for _, due := range []time.Time{o.exchange(now), o.beat(now), o.keep(now)} {
		if !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	return next
}

// do has the owner's goroutine do f. Once Run is over, nothing is done.
func (o *owner) do(f func()) {
	select {
	case o.inbox <- f:
	case <-o.over:
	}
}

// drain does what else has come, so that what ends together is recorded together.
func (o *owner) drain() {
	for {
		select {
		case f := <-o.inbox:
			f()
		default:
			return
		}
	}
}

// call calls the database in a goroutine of its own, for at most that long.
func (o *owner) call(timeout time.Duration, f func(context.Context) (answer func())) {
	o.work.Go(func() {
		ctx, cancel := context.WithTimeout(o.calls, timeout)
		defer cancel()
		answer := f(ctx)
		o.do(answer)
	})
}

// patience is how long a call of the database may take.
func (o *owner) patience() time.Duration { return o.cfg.SilentFor / 3 }

// heard notes whether the database answered.
func (o *owner) heard(err error) {
	now := time.Now()
	switch {
	case err != nil:
		if o.awaySince.IsZero() {
			o.awaySince, o.backoff = now, firstBackoff
			o.tell(Event{Kind: Away, Err: err})
		}
		o.resumeAt = now.Add(jitter(o.backoff))
		o.backoff = min(2*o.backoff, maxBackoff, o.cfg.SilentFor/6)
	case !o.awaySince.IsZero():
		o.tell(Event{Kind: Back, Took: now.Sub(o.awaySince)})
		o.awaySince, o.resumeAt = time.Time{}, time.Time{}
		o.beatAt = now
		o.quietTill = now.Add(o.cfg.SilentFor)
	}
}

// jitter returns d shortened by up to a half at random, so that workers do not go in step.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

func (o *owner) stopping() bool { return o.stage != working }

func (o *owner) enter(s stage, during time.Duration) {
	o.stage, o.deadline = s, time.Now().Add(during)
}

// nextStage goes on with the stop.
func (o *owner) nextStage(endHandlers context.CancelCauseFunc) {
	switch o.stage {
	case draining:
		endHandlers(context.Canceled)
		o.enter(giveUp, returnTime)
	case giveUp:
		for _, l := range o.leases {
			switch {
			case l.outcome.kind != "":
			case l.inTx: // its transaction decides
				o.drop(l)
			default:
				l.outcome = outcome{kind: Released}
				o.ended = append(o.ended, l)
			}
		}
		o.enter(releasing, o.patience())
	default:
		o.stage = late
	}
}

// done reports whether all that was claimed has come to its end.
func (o *owner) done() bool {
	switch o.stage {
	case working:
		return false
	case draining, giveUp:
		return o.running == 0 && len(o.leases) == 0 && len(o.trips) == 0
	case releasing:
		return len(o.leases) == 0 && len(o.trips) == 0
	default:
		return true
	}
}

// farewell is what Run returns.
func (o *owner) farewell() error {
	if n := len(o.leases); n > 0 {
		return errors.Join(o.misuse, fmt.Errorf("taskwork: stopped before the ends of %d tasks were recorded, since the "+
			"database did not answer; they come back when they have been silent for %v", n, o.cfg.SilentFor))
	}
	return o.misuse
}
