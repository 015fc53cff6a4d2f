package taskwork

import (
	"cmp"
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
// Each write moves the task's version, so only one party at a time may present it: the one that has taken the token.
//
//   - A heartbeat takes it when it has a connection.
//   - A call of [Complete] by the handler waits for it, and gives it back when the statement has been answered. Until
//     the transaction ends the row is locked, so that heartbeats pass it by; after a rollback they renew it.
//   - An exchange takes it when the handler has returned.
//
// All else is the owner's.
type lease struct {
	owner  *owner
	task   taskstore.Task // as claimed
	cancel context.CancelCauseFunc

	token chan struct{} // holds one; who has it has these
	// The task's version, or the two that it may be at since the answer to a heartbeat was lost. The older comes first.
	versions []taskstore.Millis
	sent     error // what became of its end when it was sent last
	unsure   bool  // its end was sent once, and the answer was ErrUncertain

	end     Event // what the handler came to; without Kind: it has not returned
	sending bool  // its end is on its way
	delayed bool  // it could not be recorded. It is sent again, and apart, when a heartbeat has renewed the task
	maybe   Kind  // the end that may be stored without our knowing; "": none
}

// take takes the token, if it is there.
func (l *lease) take() bool {
	select {
	case <-l.token:
		return true
	default:
		return false
	}
}

func (l *lease) giveBack() { l.token <- struct{}{} }

// present returns l's task with its version.
func (l *lease) present() taskstore.Task {
	t := l.task
	t.UpdatedAt = l.versions[0]
	return t
}

// advance notes that the task is not at the version that was presented, and reports whether it may be at another: if
// one of two is wrong, the heartbeat was done, and the newer is right.
func (l *lease) advance() bool {
	if len(l.versions) == 1 {
		return false
	}
	l.versions = l.versions[1:]
	return true
}

// start begins to work on a task that was claimed.
func (o *owner) start(t taskstore.Task) {
	if old := o.leases[t.ID]; old != nil { // it was put back, and claimed anew
		if old.sending && old.end.Kind != Completed { // by its end, perhaps, whose answer is on its way
			old.maybe = cmp.Or(old.maybe, old.end.Kind)
		}
		o.lose(old, nil)
	}
	l := &lease{owner: o, task: t, versions: []taskstore.Millis{t.UpdatedAt}, token: make(chan struct{}, 1)}
	l.giveBack()
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
			if r := recover(); r != nil {
				err = fmt.Errorf("panic: %v\n\n%s", r, debug.Stack())
			}
			took := time.Since(began)
			o.do(func() { o.returned(l, err, took) })
		}()
		if o.cfg.Timeout > 0 {
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, o.cfg.Timeout)
			defer end()
		}
		if err = o.handler(ctx, t); err != nil {
			_ = err.Error() // here a text that panics, as that of a nil pointer may, ends nothing but the handler
		}
	}()
}

// leaseKey is where a handler's context has its lease.
type leaseKey struct{}

// complete completes the handler's task in tx.
func (l *lease) complete(ctx context.Context, tx pgx.Tx) error {
	select {
	case <-l.token:
	case <-ctx.Done():
		return fmt.Errorf("complete task %d: %w", l.task.ID, context.Cause(ctx))
	}
	defer l.giveBack() // also if tx panics
	err := l.owner.store.complete(ctx, tx, l.present())
	for isConflict(err) && l.advance() {
		err = l.owner.store.complete(ctx, tx, l.present())
	}
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
	end := Event{Kind: Completed, Took: took, Err: err}
	if err != nil {
		end.Kind = Failed
		if o.handlers.Err() != nil { // it gave up since Run stops
			end.Kind = Released
		}
	}
	switch {
	case l.end.Kind != "": // Run did not wait for it
	case err == nil && l.maybe == Completed:
		o.drop(l, end)
	default:
		o.end(l, end)
	}
}

// end has the next exchange end l.
func (o *owner) end(l *lease, end Event) {
	l.end = end
	o.ended = append(o.ended, l)
}

// lose drops a lease that somebody has taken away, and ends its handler's context. Where its end may have been stored
// by ourselves, that is most likely what happened: nothing is lost then, and the handler goes on.
func (o *owner) lose(l *lease, err error) {
	why := Event{Kind: Lost, Took: l.end.Took, Err: err}
	if l.maybe != "" {
		why.Kind, why.Err, why.Unsure = l.maybe, l.end.Err, true
	} else {
		l.cancel(ErrLeaseLost)
	}
	o.drop(l, why)
}

// drop takes a lease out of the list, and tells why.
func (o *owner) drop(l *lease, why Event) {
	if o.holds(l) {
		delete(o.leases, l.task.ID)
		why.Task = l.task
		o.tell(why)
	}
}

// holds reports whether l has neither ended nor been lost.
func (o *owner) holds(l *lease) bool { return o.leases[l.task.ID] == l }
