package taskstore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// group lets concurrent calls of one kind share a statement, and so a round trip and a commit, as
// PostgreSQL's own commits share a flush of the log (group commit: DeWitt et al., 1984; Gawlick and
// Kinkade, 1985). Who arrives while no statement is under way goes at once and alone. Who arrives
// meanwhile is gathered, and all that were gathered leave together when that statement lands. There is
// no timer, so nobody waits for company.
//
// A call returns after the commit of its statement, and with the errors that it would have had alone: a
// statement that one call's row makes fail is undone by the server, and then each call goes alone.
type group[In, Out any] struct {
	alone  func(context.Context, In) (Out, error)
	shared func(context.Context, []In) ([]Out, error) // results in the order of the input

	mu      sync.Mutex
	busy    bool
	waiting []*call[In, Out]
}

// maxShared bounds the calls of one statement.
const maxShared = 256

type call[In, Out any] struct {
	ctx    context.Context
	in     In
	out    Out
	err    error
	done   chan struct{} // closed when out and err are there
	flight *flight       // nil while waiting
}

// flight is a statement under way for several calls.
type flight struct {
	calls  int // those whose callers still wait
	cancel context.CancelFunc
}

// do runs one call. A caller whose context ends returns at once, whatever becomes of the others; as
// when it is alone, its write may then have happened or not.
func (g *group[In, Out]) do(ctx context.Context, in In) (Out, error) {
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

	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
		g.leave(c)
		var zero Out
		return zero, ctx.Err()
	}
}

// leave takes c out of the queue, or off its flight, which is cancelled when nobody waits for it.
func (g *group[In, Out]) leave(c *call[In, Out]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.flight == nil {
		g.waiting = slices.DeleteFunc(g.waiting, func(w *call[In, Out]) bool { return w == c })
		return
	}
	if c.flight.calls--; c.flight.calls == 0 {
		c.flight.cancel()
	}
}

// next sends off those who have gathered.
func (g *group[In, Out]) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
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
		defer cancel()
		g.fly(ctx, calls)
		g.next()
	}()
}

func (g *group[In, Out]) fly(ctx context.Context, calls []*call[In, Out]) {
	finish := func(c *call[In, Out], out Out, err error) {
		c.out, c.err = out, err
		close(c.done)
	}
	if len(calls) > 1 {
		in := make([]In, len(calls))
		for i, c := range calls {
			in[i] = c.in
		}
		out, err := g.shared(ctx, in)
		if err == nil || !isOneCallsFault(err) {
			for i, c := range calls {
				if err == nil {
					finish(c, out[i], nil)
				} else {
					finish(c, *new(Out), err)
				}
			}
			return
		}
	}
	for _, c := range calls {
		out, err := g.alone(c.ctx, c.in)
		finish(c, out, err)
	}
}

// isOneCallsFault reports whether a statement may do for each call alone what it could not do for all
// together, and has done nothing: the server refused a value or a constraint did, or two calls want the
// same row.
func isOneCallsFault(err error) bool {
	return errors.Is(err, errSameTask) || errors.Is(kindOf(err), ErrInvalid) || strings.HasPrefix(sqlState(err), "23")
}

// errSameTask keeps calls for the same task apart, since only one of them can find its lease alive.
var errSameTask = errors.New("two calls for one task")
