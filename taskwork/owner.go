package taskwork

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// owner owns the leases of a Run. One goroutine, that of run, reads and writes its fields. Everybody else, handlers
// and calls of the database, sends it what to do.
type owner struct {
	store       store
	cfg         Config
	handler     Handler
	handlers    context.Context // what handlers get
	endHandlers context.CancelFunc
	calls       context.Context // what calls of the database get
	inbox       chan func()
	over        chan struct{} // closed when nobody reads the inbox any more
	work        sync.WaitGroup

	leases  map[int64]*lease // of tasks that are held, by id
	ended   []*lease         // those whose end waits to be recorded
	running int              // handlers that have not returned

	trips   []*trip         // exchanges under way, in the order in which they began
	turn    int             // of From, the one to claim from next
	arrival <-chan struct{} // closed when tasks came by this process since the last claim; nil: known
	lastHit time.Time       // when tasks came last
	pollAt  time.Time       // when to look for tasks

	beating   bool      // a heartbeat is under way
	beatAt    time.Time // when the next is due
	keeping   bool      // upkeep is under way
	retryAt   time.Time // when to look for failed tasks that are due
	requeueAt time.Time // when to look for tasks of silent workers

	awaySince time.Time     // the database is away; zero: it is not
	backoff   time.Duration // before the next try
	resumeAt  time.Time     // when that is
	quietTill time.Time     // no requeues before

	stopping bool  // nothing is claimed any more
	left     bool  // handlers that have not returned are not waited for
	late     bool  // nothing is waited for
	misuse   error // why Run stops by itself
}

const (
	firstBackoff = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	minPoll      = 10 * time.Millisecond
	returnTime   = time.Second // what handlers get to return when their context has ended
)

// run is the owner's goroutine.
func (o *owner) run(ctx context.Context) error {
	background, end := context.WithCancel(context.WithoutCancel(ctx))
	o.calls = background
	o.handlers, o.endHandlers = context.WithCancel(background)
	o.inbox, o.over = make(chan func(), 2*o.cfg.Workers), make(chan struct{})
	o.leases = make(map[int64]*lease)
	now := time.Now()
	o.lastHit, o.beatAt, o.quietTill = now, now.Add(o.beatEvery()), now.Add(o.cfg.SilentFor)
	defer func() {
		close(o.over)
		end()
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
		if !o.stopping && (ctx.Err() != nil || o.misuse != nil) {
			o.stop()
		}
		if o.done() {
			return o.farewell()
		}
		timer.Reset(time.Until(o.act(time.Now())))
	}
}

// act begins what is due, and returns when to look again.
func (o *owner) act(now time.Time) time.Time {
	next := now.Add(time.Hour)
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

// heard notes whether the database answered.
func (o *owner) heard(err error) {
	now := time.Now()
	switch {
	case isMisuse(err):
		o.misuse = err
	case err != nil:
		if o.awaySince.IsZero() {
			o.awaySince, o.backoff = now, firstBackoff
			o.tell(Event{Kind: Away, Err: err})
		}
		o.resumeAt = now.Add(jitter(o.backoff))
		o.backoff = min(2*o.backoff, maxBackoff, o.beatEvery())
	case !o.awaySince.IsZero():
		o.tell(Event{Kind: Back, Took: now.Sub(o.awaySince)})
		o.awaySince, o.resumeAt = time.Time{}, time.Time{}
		o.quietTill = now.Add(o.cfg.SilentFor)
	}
}

// jitter returns d shortened by up to a half at random, so that workers do not go in step.
func jitter(d time.Duration) time.Duration { return d - rand.N(d/2+1) }

// stop begins the stop: handlers get Grace, then their context ends, then the tasks of those that still have not
// returned are released, and in the end nothing is waited for.
func (o *owner) stop() {
	o.stopping = true
	o.after(o.cfg.Grace, func() {
		o.endHandlers()
		o.after(returnTime, func() {
			o.left = true
			for _, l := range o.leases {
				switch {
				case l.outcome.kind != "":
				case l.inTx: // its transaction decides
					o.drop(l)
				default:
					o.end(l, outcome{kind: Released})
				}
			}
			o.after(o.patience(), func() { o.late = true })
		})
	})
}

// after has the owner's goroutine do f after a while.
func (o *owner) after(d time.Duration, f func()) { time.AfterFunc(d, func() { o.do(f) }) }

// done reports whether all that was claimed has come to its end.
func (o *owner) done() bool {
	return o.late || o.stopping && len(o.leases) == 0 && len(o.trips) == 0 && (o.running == 0 || o.left)
}

// farewell is what Run returns.
func (o *owner) farewell() error {
	if n := len(o.leases); n > 0 {
		return errors.Join(o.misuse, fmt.Errorf("taskwork: stopped before the ends of %d tasks were recorded, since the "+
			"database did not answer: they come back when they have been silent for %v", n, o.cfg.SilentFor))
	}
	return o.misuse
}
