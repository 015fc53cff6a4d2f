package taskwork

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// lease is a task that was claimed, until its end is recorded or the lease is lost.
//
// Each write moves the task's version, so only one party at a time may present it. It therefore is a thing that one
// party has: it lies in the lease, and is taken out by
//
//   - a heartbeat, when it has a connection. It puts it back, renewed or, where its answer was lost, in doubt;
//   - a call of [Complete] by the handler, which waits for it, and puts it back when the statement has been answered.
//     Until the transaction ends the row is locked, so that heartbeats pass it by; after a rollback they renew it;
//   - an exchange, when the handler has returned. It puts it back if the end is to be sent once more.
//
// All else is the owner's.
type lease struct {
	task    taskstore.Task // as claimed
	version chan version   // holds one
	cancel  context.CancelCauseFunc

	inTx     bool // completed in a transaction of which the owner does not know what became
	returned bool // the handler has
	gone     bool // ended or lost; the handler may not have returned yet

	outcome outcome // how the lease is to be ended
	unsure  bool    // its end was sent, and the answer was lost
	alone   bool    // its end goes alone: with others it failed, maybe for one of them
}

// version is what the database has to be shown of a task.
type version struct {
	at    taskstore.Millis
	doubt taskstore.Millis // what it is instead, if a heartbeat without answer was done; 0: nothing
}

// held is a lease of which somebody has the version.
type held struct {
	*lease
	version
	outcome // as far as whoever has it needs to know it
}

// outcome is what becomes of a task.
type outcome struct {
	kind    Kind // Completed, Failed or Released; "": not known yet
	err     error
	took    time.Duration
	decided bool // by Retry
	retryIn time.Duration
}

// present returns h's task with its version.
func (h held) present() taskstore.Task {
	t := h.task
	t.UpdatedAt = h.at
	return t
}

// take takes the version, if it is there.
func (l *lease) take() (held, bool) {
	select {
	case v := <-l.version:
		return held{l, v, l.outcome}, true
	default:
		return held{}, false
	}
}

// handling is what a handler's context knows of its task.
type handling struct {
	owner *owner
	lease *lease
}

type handlingKey struct{}

// complete completes the handler's task in tx.
func (h handling) complete(ctx context.Context, tx pgx.Tx) error {
	o, l := h.owner, h.lease
	hold := held{lease: l}
	select {
	case hold.version = <-l.version:
	case <-ctx.Done():
		return fmt.Errorf("complete task %d: %w", l.task.ID, context.Cause(ctx))
	case <-o.over: // Run has returned without waiting for this handler
		return fmt.Errorf("complete task %d: %w", l.task.ID, ErrLeaseLost)
	}
	err := o.store.complete(ctx, tx, &hold)
	l.version <- hold.version
	switch {
	case err == nil:
		o.do(func() { l.inTx = true })
	case errors.As(err, new(*taskstore.ConflictError)):
		o.do(func() { o.lose(l, nil) })
		err = fmt.Errorf("%w: %w", ErrLeaseLost, err)
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return err
}

// lose drops a lease that somebody has taken away, and ends its handler's context. Where its end may have been stored
// by ourselves, that is most likely what happened: nothing is lost then, and the handler goes on.
func (o *owner) lose(l *lease, err error) {
	if l.gone {
		return
	}
	o.drop(l)
	switch {
	case l.inTx && !l.returned: // its return will tell
	case l.inTx || l.unsure:
		o.tellEnd(l, true)
	default:
		l.cancel(ErrLeaseLost)
		o.tell(Event{Kind: Lost, Task: l.task, Took: l.outcome.took, Err: err})
	}
}

// drop takes a lease out of the list.
func (o *owner) drop(l *lease) {
	l.gone = true
	if o.leases[l.task.ID] == l {
		delete(o.leases, l.task.ID)
	}
}

// tellEnd tells how l's task ended.
func (o *owner) tellEnd(l *lease, unsure bool) {
	end := l.outcome
	if l.inTx && unsure { // its failure was not recorded
		end.kind, end.retryIn = Completed, 0
	}
	o.tell(Event{Kind: end.kind, Task: l.task, Took: end.took, Err: end.err, RetryIn: end.retryIn, Unsure: unsure})
}
