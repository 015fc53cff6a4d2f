package taskwork

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

// start begins to work on a task that was claimed at about that time.
func (o *owner) start(t taskstore.Task, claimed time.Time) {
	if old := o.leases[t.ID]; old != nil && old.with != withExchange { // else the exchange will tell
		o.lose(old, nil) // it was put back and claimed anew
	}
	l := &lease{task: t, renewed: claimed}
	o.leases[t.ID] = l
	if o.stopping() { // it came while ctx ended
		l.cancel, l.returned, l.outcome = func(error) {}, true, outcome{kind: Released}
		o.ended = append(o.ended, l)
		return
	}
	var ctx context.Context
	ctx, l.cancel = context.WithCancelCause(context.WithValue(o.handlers, handlingKey{}, handling{o, l}))
	o.running++
	o.tell(Event{Kind: Started, Task: t})
	go func() {
		began := time.Now()
		err := errGoexit
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

// returns notes that the handler of l has returned, and what is to become of its task.
func (o *owner) returns(l *lease, err error, took time.Duration) {
	o.running--
	l.cancel(nil)
	l.returned, l.took = true, took
	if l.outcome.kind == "" { // else Run has released it already
		l.outcome = outcome{kind: Failed, err: err}
		switch {
		case err == nil:
			l.outcome.kind = Completed
		case context.Cause(o.handlers) != nil: // it gave up since Run stops
			l.outcome.kind = Released
		}
		if !(l.inTx && err == nil) {
			o.ended = append(o.ended, l)
		}
	}
	switch {
	case l.gone && l.inTx:
		o.tellEnd(l, err != nil)
	case l.inTx && err == nil:
		o.drop(l)
		o.tellEnd(l, false)
	}
}
