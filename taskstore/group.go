package taskstore

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"time"
)

// group lets concurrent creates share a statement, and so a round trip and a commit, as PostgreSQL's own commits share
// a flush of the log (group commit: DeWitt et al., 1984; Gawlick and Kinkade, 1985).
//
// Sharing pays only where calls would wait anyway. So as many calls as there are connections, at most maxApart, go at
// once and alone, as they would without a group. Where there are more, no more than maxUnderWay statements should be
// under way: the calls that arrive meanwhile queue, and share the next one. It departs when fewer are under way, or
// after maxWait, whichever is first. So statements that hang delay a later call by maxWait at most.
//
// A call returns after the commit of its statement, and with the error that it would have had alone: where a row of one
// call makes the shared statement fail, the server has undone it whole, and each call goes alone at once.
type group struct {
	alone  func(context.Context, NewTask) (Task, error)
	shared sharedCreate
	apart  int // how many calls at once go alone

	mu       sync.Mutex
	calls    int // that have not returned
	underWay int // statements
	waiting  []*call
	timer    *time.Timer // runs while calls wait
}

// sharedCreate creates the tasks that board returns, and returns them in the same order. It calls board when it is
// about to send its statement: until then a caller may give up and be certain.
type sharedCreate func(ctx context.Context, board func() []NewTask) ([]Task, error)

// docs/performance.md has what other values do.
const (
	maxApart    = 16
	maxUnderWay = 2
	maxShared   = 256 // calls of one statement
	maxWait     = 2 * time.Millisecond
)

// call is one call that waits, or takes part in a shared statement. The group's mutex guards it until done is closed.
type call struct {
	ctx      context.Context
	in       NewTask
	flight   *flight // nil while it waits
	done     chan struct{}
	gaveUp   bool // its caller has returned
	alone    bool // its caller is to run it alone
	out      Task
	err      error
	panicked any
}

// flight is a shared statement under way.
type flight struct {
	calls  []*call // but for those that gave up before it was sent
	sent   bool
	cancel context.CancelFunc
}

func newGroup(alone func(context.Context, NewTask) (Task, error), shared sharedCreate, connections int) *group {
	g := &group{alone: alone, shared: shared, apart: min(connections, maxApart)}
	// It first runs when a call waits. Any time that can come would be a race between it and the line below.
	g.timer = time.AfterFunc(math.MaxInt64, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.depart()
	})
	g.timer.Stop()
	return g
}

// do runs one call. A caller whose context ends returns at once, whatever becomes of the others.
func (g *group) do(ctx context.Context, in NewTask) (Task, error) {
	if err := ctx.Err(); err != nil {
		return Task{}, err
	}
	g.mu.Lock()
	g.calls++
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.calls--
	}()
	if g.calls <= g.apart || g.underWay < maxUnderWay {
		g.underWay++
		g.mu.Unlock()
		return g.runAlone(ctx, in)
	}
	c := &call{ctx: ctx, in: in, done: make(chan struct{})}
	if g.waiting = append(g.waiting, c); len(g.waiting) == 1 {
		g.timer.Reset(maxWait)
	}
	g.mu.Unlock()

	select {
	case <-c.done:
	case <-ctx.Done():
		if err := g.giveUp(c); err != nil {
			return Task{}, err
		}
	}
	switch {
	case c.alone:
		return g.runAlone(ctx, in)
	case c.panicked != nil:
		panic(c.panicked)
	}
	return c.out, c.err
}

// giveUp takes c out of the queue, or lets its statement go on without it, and returns the error of a caller whose
// context has ended. It returns nil if c is done already.
func (g *group) giveUp(c *call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-c.done:
		return nil
	default:
	}
	c.gaveUp = true
	without := func(calls []*call) []*call {
		return slices.DeleteFunc(calls, func(other *call) bool { return other == c })
	}
	f, err := c.flight, c.ctx.Err()
	if f == nil {
		g.waiting = without(g.waiting)
		return err
	}
	if f.sent {
		err = &uncertainError{err}
	} else {
		f.calls = without(f.calls)
	}
	if !slices.ContainsFunc(f.calls, func(c *call) bool { return !c.gaveUp }) {
		f.cancel()
	}
	return err
}

// board returns the tasks of a flight that is about to be sent.
func (g *group) board(f *flight) []NewTask {
	g.mu.Lock()
	defer g.mu.Unlock()
	f.sent = true
	ts := make([]NewTask, len(f.calls))
	for i, c := range f.calls {
		ts[i] = c.in
	}
	return ts
}

// runAlone runs a call that is counted as under way.
func (g *group) runAlone(ctx context.Context, in NewTask) (Task, error) {
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.land()
	}()
	return g.alone(ctx, in)
}

// land is called, with the mutex held, when a statement has returned.
func (g *group) land() {
	if g.underWay--; g.underWay < maxUnderWay {
		g.depart()
	}
}

// depart sends off the calls that wait, with the mutex held.
func (g *group) depart() {
	g.waiting = slices.DeleteFunc(g.waiting, func(c *call) bool { return c.ctx.Err() != nil })
	n := min(len(g.waiting), maxShared)
	calls := slices.Clone(g.waiting[:n])
	if g.waiting = slices.Delete(g.waiting, 0, n); len(g.waiting) == 0 {
		g.timer.Stop()
	} else {
		g.timer.Reset(maxWait)
	}
	switch n {
	case 0:
	case 1:
		g.sendAlone(calls)
	default:
		// The statement has the context values of the first call, for logs, but nobody's deadline.
		ctx, cancel := context.WithCancel(context.WithoutCancel(calls[0].ctx))
		f := &flight{calls: calls, cancel: cancel}
		for _, c := range calls {
			c.flight = f
		}
		g.underWay++
		go g.fly(ctx, f)
	}
}

// sendAlone has the callers run their calls alone, at once and at the same time. The mutex is held.
func (g *group) sendAlone(calls []*call) {
	g.underWay += len(calls)
	for _, c := range calls {
		c.alone = true
		close(c.done)
	}
}

// errAbandoned is what callers get whose statement's goroutine ended without a result.
var errAbandoned = errors.New("the DB call exited without returning")

// fly runs a shared statement. What panics does so in the callers, as when they are alone.
func (g *group) fly(ctx context.Context, f *flight) {
	var out []Task
	err := error(&uncertainError{errAbandoned})
	defer func() {
		panicked := recover()
		f.cancel()
		g.mu.Lock()
		defer g.mu.Unlock()
		defer g.land()
		if panicked == nil && isRowsFault(err) {
			g.sendAlone(slices.DeleteFunc(f.calls, func(c *call) bool { return c.gaveUp }))
			return
		}
		for i, c := range f.calls {
			if c.err, c.panicked = err, panicked; err == nil {
				c.out = out[i]
			}
			close(c.done)
		}
	}()
	out, err = g.shared(ctx, func() []NewTask { return g.board(f) })
}
