package taskwork

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// lease is a task that was claimed, until its end is recorded or the lease is lost.
//
// Each write moves the task's version, so only one party at a time may present it. It therefore is a thing that one
// party has: it lies in the lease, and is taken out by
//
//   - a heartbeat, when it has a connection. It puts it back renewed;
//   - a call of [Complete] by the handler, which waits for it, and puts it back when the statement has been answered.
//     Until the transaction ends the row is locked, so that heartbeats pass it by; after a rollback they renew it;
//   - an exchange, when the handler has returned. It puts it back if the end is to be sent once more.
//
// All else is the owner's.
type lease struct {
	owner    *owner
	task     taskstore.Task // as claimed
	versions chan versions  // holds one
	cancel   context.CancelCauseFunc

	end   Event // what the handler came to; without Kind: it has not returned
	maybe Kind  // the end that may be stored without our knowing; "": none
	alone bool  // its end goes alone: with others it failed, maybe for one of them
}

// versions are what the database has to be shown of a task: its version, or the two that it may be at where the answer
// to a heartbeat was lost. The older comes first. If that is refused the heartbeat was done, and the newer is right.
type versions []taskstore.Millis

// held is a lease of which somebody has the version.
type held struct {
	lease    *lease
	versions versions
	end      Event // how an exchange ends it
}

// take takes the version, if it is there.
func (l *lease) take() (held, bool) {
	select {
	case vs := <-l.versions:
		return held{lease: l, versions: vs}, true
	default:
		return held{}, false
	}
}

// present returns h's task with its version.
func (h *held) present() taskstore.Task {
	t := h.lease.task
	t.UpdatedAt = h.versions[0]
	return t
}

// advance notes that the task is not at the version that was presented, and reports whether there is another.
func (h *held) advance() bool {
	if len(h.versions) == 1 {
		return false
	}
	h.versions = h.versions[1:]
	return true
}

// start begins to work on a task that was claimed.
func (o *owner) start(t taskstore.Task) {
	if old := o.leases[t.ID]; old != nil {
		o.lose(old, nil) // it was put back, and claimed anew
	}
	l := &lease{owner: o, task: t, versions: make(chan versions, 1)}
	l.versions <- versions{t.UpdatedAt}
	o.leases[t.ID] = l
	ctx, cancel := context.WithCancelCause(context.WithValue(o.handlers, leaseKey{}, l))
	l.cancel = cancel
	if o.stopping {
		o.free++
		o.end(l, Event{Kind: Released})
		return
	}
	o.tell(Event{Kind: Started, Task: t})
	go func() {
		began, err := time.Now(), errors.New("the handler ended its goroutine by runtime.Goexit")
		defer func() { // also then
			took := time.Since(began)
			o.do(func() { o.returned(l, err, took) })
		}()
		err = call(ctx, o.cfg.Timeout, o.handler, t)
	}()
}

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

// leaseKey is where a handler's context has its lease.
type leaseKey struct{}

// complete completes the handler's task in tx.
func (l *lease) complete(ctx context.Context, tx pgx.Tx) error {
	h := held{lease: l}
	select {
	case h.versions = <-l.versions:
	case <-ctx.Done():
		return fmt.Errorf("complete task %d: %w", l.task.ID, context.Cause(ctx))
	case <-l.owner.over: // Run has returned without waiting for this handler
		return fmt.Errorf("complete task %d: %w", l.task.ID, ErrLeaseLost)
	}
	err := l.owner.store.complete(ctx, tx, h.present())
	for isConflict(err) && h.advance() {
		err = l.owner.store.complete(ctx, tx, h.present())
	}
	l.versions <- h.versions
	switch {
	case err == nil:
		l.owner.do(func() { l.maybe = Completed })
	case isConflict(err):
		l.owner.do(func() { l.owner.lose(l, nil) })
		err = fmt.Errorf("%w: %w", ErrLeaseLost, err)
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// returned notes that the handler of l has returned.
func (o *owner) returned(l *lease, err error, took time.Duration) {
	o.free++
	l.cancel(nil)
	end := Event{Kind: Completed, Task: l.task, Took: took, Err: err}
	switch {
	case l.end.Kind != "": // Run did not wait for it
	case err == nil && l.maybe == Completed:
		o.drop(l, end)
	case err == nil:
		o.end(l, end)
	case o.handlers.Err() != nil: // it gave up since Run stops
		end.Kind = Released
		o.end(l, end)
	default:
		end.Kind = Failed
		o.end(l, end)
	}
}

// end has the next exchange end l.
func (o *owner) end(l *lease, end Event) {
	end.Task = l.task
	l.end = end
	o.ended = append(o.ended, l)
}

// lose drops a lease that somebody has taken away, and ends its handler's context. Where its end may have been stored
// by ourselves, that is most likely what happened: nothing is lost then, and the handler goes on.
func (o *owner) lose(l *lease, err error) {
	if l.maybe != "" {
		l.end.Kind, l.end.Task, l.end.Unsure = l.maybe, l.task, true
		o.drop(l, l.end)
		return
	}
	l.cancel(ErrLeaseLost)
	o.drop(l, Event{Kind: Lost, Task: l.task, Took: l.end.Took, Err: err})
}

// drop takes a lease out of the list, and tells why.
func (o *owner) drop(l *lease, why Event) {
	if o.holds(l) {
		delete(o.leases, l.task.ID)
		o.tell(why)
	}
}

// holds reports whether l has neither ended nor been lost.
func (o *owner) holds(l *lease) bool { return o.leases[l.task.ID] == l }
