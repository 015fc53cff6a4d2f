package race

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// runner works by package taskwork. It knows what it was told of each lease; the audit tells at which versions.
type runner struct {
	*actor
	call *call // all that the Run does

	mu     sync.Mutex
	held   map[int64]*runLease   // those that are not ended, by task
	leases map[version]*runLease // all, by the version of the claim
}

// runLease is what was told of a lease, with the times in the histories.
type runLease struct {
	started  int64
	kind     taskwork.Kind // of its end; "": the Run ended before
	unsure   bool
	ended    int64
	complete []completion
}

// completion is a call of taskwork.Complete in a transaction that was committed, or one that was refused.
type completion struct {
	called, returned int64
	outcome          outcome
}

// runRetry is when a runner's failed tasks are due.
const runRetry = 10 * time.Millisecond

func (w *runner) run(s *taskstore.Store, pool *pgxpool.Pool) {
	cfg := taskwork.Config{
		Workers: 4, SilentFor: time.Second, Grace: time.Second, Observe: w.observe,
		Retry: func(int, error) (time.Duration, bool) { return runRetry, true },
	}
	_, _ = w.do(callRun, func(ctx context.Context, c *call) error {
		c.broken = true // of what it claims some answers are lost
		w.call = c
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			<-w.stop
			cancel()
		}()
		return taskwork.Run(ctx, s, cfg, w.handler(pool))
	})
}

func (w *runner) observe(e taskwork.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch e.Kind {
	case taskwork.Started:
		l := &runLease{started: w.now()}
		w.held[e.Task.ID], w.leases[version{e.Task.ID, e.Task.UpdatedAt}] = l, l
	case taskwork.Completed, taskwork.Failed, taskwork.Released, taskwork.Lost:
		if l := w.held[e.Task.ID]; l != nil { // else it was claimed while the Run stopped, and released without a start
			delete(w.held, e.Task.ID)
			l.kind, l.unsure, l.ended = e.Kind, e.Unsure, w.now()
			w.race.mu.Lock()
			defer w.race.mu.Unlock()
			w.counts[counted{stepKind("run: " + e.Kind), tookPlace}]++
		}
	default: // not about a lease
	}
}

// handler completes tasks in transactions, or leaves that to the Run, or fails.
func (w *runner) handler(pool *pgxpool.Pool) taskwork.Handler {
	return func(ctx context.Context, task taskstore.Task) error {
		w.mu.Lock()
		l := w.leases[version{task.ID, task.UpdatedAt}]
		w.mu.Unlock()
		switch rand.IntN(8) {
		case 0:
			return errors.New(w.call.reason())
		case 1, 2:
			return nil
		case 3: // until a heartbeat or two have moved it
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
		did := completion{called: w.now()}
		rollback := rand.IntN(4) == 0
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			err := taskwork.Complete(ctx, tx)
			if err == nil && rollback {
				err = errors.New("changed its mind")
			}
			return err
		})
		did.returned = w.now()
		switch {
		case err == nil:
			did.outcome = tookPlace
		case errors.Is(err, taskstore.ErrConflict):
			did.outcome = wasRefused
		default: // also after a rollback: nil would say that the task is completed
			return errors.New(w.call.reason())
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		l.complete = append(l.complete, did)
		return err
	}
}

// histories adds what the Run did, as the audit shows it, at the times at which it was told, and returns what it was
// told that did not happen.
func (w *runner) histories(changes []audited, tasks map[int64]timeline) (problems []string) {
	add := func(task int64, s step, called, returned int64) {
		h := tasks[task]
		h.add(w.client, s, called, returned)
		tasks[task] = h
	}
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("taskwork: "+format, args...))
	}
	at := map[*runLease]version{} // the last version of a lease
	ends := map[*runLease]audited{}
	of := map[version]*runLease{}
	for _, c := range changes {
		if c.call != w.call.number || c.program != "store" {
			continue
		}
		old, now := version{c.task, c.oldVersion}, version{c.task, c.newVersion}
		l := of[old]
		switch {
		case c.isClaim():
			returned := int64(never)
			if l = w.leases[now]; l != nil {
				returned = l.started
			} else { // the answer was lost, or it was released without a start
				l = &runLease{started: w.call.called}
			}
			of[now], at[l] = l, now
			add(c.task, step{kind: stepClaim, got: c.newVersion, outcome: tookPlace}, w.call.called, returned)
		case l != nil && c.newStatus == taskstore.Processing:
			of[now], at[l] = l, now
			s := step{kind: stepHeartbeat, version: old.at, got: now.at, outcome: tookPlace}
			add(c.task, s, l.started, w.call.returned)
		case l != nil:
			ends[l] = c
			returned := w.call.returned
			if l.kind != "" {
				returned = l.ended
			}
			for _, did := range l.complete {
				if did.outcome == tookPlace {
					returned = min(returned, did.returned)
				}
			}
			add(c.task, step{kind: stepEnd, version: old.at, to: c.newStatus, outcome: tookPlace}, l.started, returned)
		case c.oldStatus == taskstore.Processing && c.newStatus == taskstore.Pending:
			add(c.task, step{kind: stepRequeue, outcome: tookPlace}, w.call.called, w.call.returned)
		case c.oldStatus == taskstore.Failed && c.newStatus == taskstore.Pending:
			add(c.task, step{kind: stepRetry, outcome: tookPlace}, w.call.called, w.call.returned)
		default:
			problem("what is this? %+v", c)
		}
	}
	led := map[taskwork.Kind]taskstore.Status{
		taskwork.Completed: taskstore.Completed, taskwork.Failed: taskstore.Failed, taskwork.Released: taskstore.Pending,
	}
	for claimed, l := range w.leases {
		end, done := ends[l]
		last, ok := at[l]
		refused := step{kind: stepEnd, version: last.at, to: taskstore.Completed, outcome: wasRefused}
		to, ended := led[l.kind]
		switch {
		case !ok:
			problem("task %d was started at version %d, at which it was not claimed", claimed.task, claimed.at)
		case ended && !l.unsure && (!done || end.newStatus != to):
			problem("the end of %+v was told as %s; it was %+v", last, l.kind, end)
		case l.kind == taskwork.Lost && done:
			problem("the lease of %+v was told as lost; it was ended by %+v", last, end)
		case l.kind == taskwork.Lost:
			add(last.task, refused, l.started, l.ended)
		}
		for _, did := range l.complete {
			switch {
			case did.outcome == wasRefused:
				add(last.task, refused, did.called, did.returned)
			case end.newStatus != taskstore.Completed:
				problem("%+v was completed in a transaction that was committed; its end was %+v", last, end)
			}
		}
	}
	return problems
}
