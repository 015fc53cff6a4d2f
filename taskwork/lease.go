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
// The task's version is a token that each write moves, so one party at a time may present it:
//
//	owner     -- time for a heartbeat ----------> heartbeat -- answer: renewed, lost, or in doubt --> owner
//	owner     -- the handler calls Complete ----> handler   -- answer of the statement -------------> owner
//	owner     -- the handler has returned ------> exchange  -- ended or lost -----------------------> gone
//	                                                        -- an error: to be repeated ------------> owner
//
// A call of Complete waits while the version is with a heartbeat, whose statement is under way then; it never waits
// for a connection. A lease in doubt goes to no exchange before a heartbeat has found out.
//
// What is not said otherwise is touched by the owner's goroutine alone.
type lease struct {
	task    taskstore.Task   // at its version; touched by whom it is with
	doubt   taskstore.Millis // the version that it has instead, if a heartbeat without answer was done; 0: none
	renewed time.Time        // when the call began that gave it its version
	with    party

	cancel   context.CancelCauseFunc // of the handler's context
	waiting  []chan loan             // calls of Complete
	inTx     bool                    // completed in a transaction of which the owner does not know what became
	returned bool                    // the handler has
	gone     bool                    // ended or lost; the handler may not have returned yet

	// Once there is an outcome, the lease is to be ended by it.
	outcome outcome
	took    time.Duration
	unsure  bool // its end was sent, and the answer was lost
	alone   bool // its end goes alone, since a call with others failed that may have failed for one of them
}

type party int

const (
	withOwner party = iota
	withHeartbeat
	withHandler
	withExchange
)

// outcome is what becomes of a task.
type outcome struct {
	kind    Kind  // Completed, Failed or Released; "": not known yet
	err     error // of Failed
	decided bool  // retryIn has been asked for
	retryIn time.Duration
}

// loan is the version on its way to a call of Complete.
type loan struct {
	task  taskstore.Task
	doubt taskstore.Millis
	ok    bool // false: the lease is lost
}

// handling is what a handler's context knows of its task.
type handling struct {
	owner *owner
	lease *lease
}

type handlingKey struct{}

// complete completes l's task in tx, for the handler.
func (o *owner) complete(ctx context.Context, l *lease, tx pgx.Tx) error {
	reply := make(chan loan, 1)
	o.do(func() {
		l.waiting = append(l.waiting, reply)
		o.lend(l)
	})
	var got loan
	select {
	case got = <-reply:
	case <-o.over: // Run has returned without waiting for this handler, and has released the task
	}
	if !got.ok {
		return fmt.Errorf("complete task %d: %w", l.task.ID, ErrLeaseLost)
	}
	version, err := o.store.complete(ctx, tx, got.task, got.doubt)
	o.do(func() { o.repay(l, version, err) })
	if conflict := (*taskstore.ConflictError)(nil); errors.As(err, &conflict) {
		return fmt.Errorf("%w: %w", ErrLeaseLost, err)
	}
	return err
}

// lend gives the version to the call of Complete that has waited longest, unless it is with somebody.
func (o *owner) lend(l *lease) {
	for l.with == withOwner && len(l.waiting) > 0 {
		reply := l.waiting[0]
		l.waiting = l.waiting[1:]
		if ok := !l.gone && l.outcome.kind == ""; ok {
			l.with = withHandler
			reply <- loan{l.task, l.doubt, true}
		} else {
			reply <- loan{}
		}
	}
}

// repay takes the version back. From a statement that succeeded until its transaction has ended, the row is locked and
// heartbeats pass it by; after a rollback they renew it.
func (o *owner) repay(l *lease, version taskstore.Millis, err error) {
	l.with = withOwner
	switch {
	case err == nil:
		l.task.UpdatedAt, l.doubt, l.inTx = version, 0, true
	case errors.As(err, new(*taskstore.ConflictError)):
		o.lose(l, nil)
	}
	o.lend(l)
}

// lose drops a lease that somebody has taken away, and ends its handler's context. Where its end may have been stored by
// ourselves, that is most likely what happened: nothing is lost then, and the handler goes on.
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
		o.tell(Event{Kind: Lost, Task: l.task, Took: l.took, Err: err})
	}
}

// tellEnd tells how l's task ended.
func (o *owner) tellEnd(l *lease, unsure bool) {
	e := Event{Kind: l.outcome.kind, Task: l.task, Took: l.took, Err: l.outcome.err, RetryIn: l.outcome.retryIn, Unsure: unsure}
	if l.inTx && unsure { // its failure was not recorded
		e.Kind, e.RetryIn = Completed, 0
	}
	o.tell(e)
}

// drop takes a lease out of the list.
func (o *owner) drop(l *lease) {
	l.gone = true
	if o.leases[l.task.ID] == l {
		delete(o.leases, l.task.ID)
	}
}
