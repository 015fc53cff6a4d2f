package taskwork

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

// start begins to work on a task that was claimed.
func (o *owner) start(t taskstore.Task) {
	if old := o.leases[t.ID]; old != nil {
		o.lose(old, nil) // it was put back, and claimed anew
	}
	l := &lease{task: t, version: make(chan version, 1), cancel: func(error) {}}
	l.version <- version{at: t.UpdatedAt}
	o.leases[t.ID] = l
	if o.stopping {
		l.returned = true
		o.end(l, outcome{kind: Released})
		return
	}
	var ctx context.Context
	ctx, l.cancel = context.WithCancelCause(context.WithValue(o.handlers, handlingKey{}, handling{o, l}))
	o.running++
	o.tell(Event{Kind: Started, Task: t})
	go func() {
		began, err := time.Now(), errGoexit
		defer func() { // also when the handler ends its goroutine
			took := time.Since(began)
			o.do(func() { o.returns(l, err, took) })
		}()
		err = call(ctx, o.cfg.Timeout, o.handler, t)
	}()
}

var errGoexit = errors.New("the handler ended its goroutine by runtime.Goexit")

// call calls h, and returns a panic as an error.
func call(ctx context.Context, timeout time.Duration, h Handler, t taskstore.Task) (err error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v\n\n%s", r, debug.Stack())
		}
	}()
	return h(ctx, t)
}

// returns notes that the handler of l has returned.
func (o *owner) returns(l *lease, err error, took time.Duration) {
	o.running--
	l.cancel(nil)
	l.returned = true
	if l.outcome.kind != "" { // Run did not wait for it
		return
	}
	end := outcome{kind: Failed, err: err, took: took}
	switch {
	case err == nil:
		end.kind = Completed
	case o.handlers.Err() != nil: // it gave up since Run stops
		end.kind = Released
	}
	switch {
	case l.gone && l.inTx:
		l.outcome = end
		o.tellEnd(l, err != nil)
	case l.gone:
	case l.inTx && err == nil:
		l.outcome = end
		o.drop(l)
		o.tellEnd(l, false)
	default:
		o.end(l, end)
	}
}

// end has the next exchange end l.
func (o *owner) end(l *lease, end outcome) {
	l.outcome = end
	o.ended = append(o.ended, l)
}
