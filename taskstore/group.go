package taskstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// group lets concurrent calls of one kind share a statement, and so a round trip and a commit, as
// PostgreSQL's own commits share a flush of the log (group commit: DeWitt et al., 1984; Gawlick and
// Kinkade, 1985). Who arrives while no statement is under way goes at once and alone. Who arrives
// meanwhile is gathered, and all that were gathered leave together when that statement lands. There is
// no timer, so nobody waits for company.
//
// A call returns after the commit of its statement, and with the errors that it would have had alone: a
// statement that one call's row makes fail is undone by the server, and then each call goes alone. Nor does
// one call hold up the others for long: who has waited a second for a statement that hangs goes alone.
type group[In, Out any] struct {
	alone  func(context.Context, In) (Out, error)
	shared func(context.Context, []In) ([]Out, error) // results in the order of the input

	mu      sync.Mutex
	busy    bool
	waiting []*call[In, Out]
}

const (
	maxShared = 256         // calls of one statement
	patience  = time.Second // that a call has with the statement before its own
)

type call[In, Out any] struct {
	ctx      context.Context
	in       In
	out      Out
	err      error
	panicked any
	done     chan struct{} // closed when out and err, or panicked, are there
	flight   *flight       // nil while waiting
}

// flight is a statement under way for several calls.
type flight struct {
	calls  int // those whose callers still wait
	cancel context.CancelFunc
}

// do runs one call. A caller whose context ends returns at once, whatever becomes of the others; as
// when it is alone, its write may then have happened or not.
func (g *group[In, Out]) do(ctx context.Context, in In) (Out, error) {
	if err := ctx.Err(); err != nil {
		var zero Out
		return zero, err
	}
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		defer g.next()
		return g.alone(ctx, in)
	}
	c := &call[In, Out]{ctx: ctx, in: in, done: make(chan struct{})}
	g.waiting = append(g.waiting, c)
	g.mu.Unlock()

	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		select {
		case <-c.done:
			if c.panicked != nil {
				panic(c.panicked)
			}
			return c.out, c.err
		case <-ctx.Done():
			g.leave(c)
			var zero Out
			return zero, ctx.Err()
		case <-timer.C:
			if g.withdraw(c) {
				return g.alone(ctx, in)
			}
		}
	}
}

// withdraw takes c out of the queue, if it is there.
func (g *group[In, Out]) withdraw(c *call[In, Out]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.flight != nil {
		return false
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(w *call[In, Out]) bool { return w == c })
	return true
}

// leave takes c out of the queue, or off its flight, which is cancelled when nobody waits for it.
func (g *group[In, Out]) leave(c *call[In, Out]) {
	if g.withdraw(c) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.flight.calls--; c.flight.calls == 0 {
		c.flight.cancel()
	}
}

// next sends off those who have gathered and not given up.
func (g *group[In, Out]) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = slices.DeleteFunc(g.waiting, func(c *call[In, Out]) bool { return c.ctx.Err() != nil })
	n := min(len(g.waiting), maxShared)
	if n == 0 {
		g.busy = false
		return
	}
	calls := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	// The flight has the first call's values, for tracing, but nobody's deadline.
	ctx, cancel := context.WithCancel(context.WithoutCancel(calls[0].ctx))
	f := &flight{calls: n, cancel: cancel}
	for _, c := range calls {
		c.flight = f
	}
	go func() {
		defer g.next()
		defer cancel()
		g.fly(ctx, calls)
	}()
}

// errAbandoned is what callers get whose statement's goroutine ended without a result.
var errAbandoned = errors.New("the DB ended the goroutine that it was called in")

// fly does the calls, those that it cannot do together one after the other. What panics does so in the
// callers, as when they are alone.
func (g *group[In, Out]) fly(ctx context.Context, calls []*call[In, Out]) {
	left := calls
	defer func() {
		p := recover()
		for _, c := range left {
			c.err, c.panicked = errAbandoned, p
			close(c.done)
		}
	}()
	finish := func(out Out, err error) {
		c := left[0]
		c.out, c.err = out, err
		left = left[1:]
		close(c.done)
	}
	if len(calls) > 1 {
		in := make([]In, len(calls))
		for i, c := range calls {
			in[i] = c.in
		}
		out, err := g.shared(ctx, in)
		if err == nil || !isOneCallsFault(err) {
			for i := range calls {
				if err == nil {
					finish(out[i], nil)
				} else {
					finish(*new(Out), err)
				}
			}
			return
		}
	}
	for _, c := range calls {
		finish(g.alone(c.ctx, c.in))
	}
}

// isOneCallsFault reports whether a statement may do for each call alone what it could not do for all
// together, and has done nothing: two calls want the same row, or the server gave it up for anything that a
// row can be the cause of: a value, a constraint, a trigger, a policy, a lock that was waited for too long.
func isOneCallsFault(err error) bool {
	if errors.Is(err, errSameTask) {
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.SeverityUnlocalized != "ERROR" {
		return errors.Is(kindOf(err), ErrInvalid)
	}
	switch {
	case pg.Code == "42501": // insufficient_privilege, by a policy for rows
		return true
	case strings.HasPrefix(pg.Code, "57P"): // the server is going away
		return false
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "25", "42", "53", "58", "XX": // connection, state, SQL, resources, system: the same for each
		return false
	}
	return true
}

// errSameTask keeps calls for the same task apart, since only one of them can find its lease alive.
var errSameTask = errors.New("two calls for one task")
