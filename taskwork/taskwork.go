// Package taskwork runs a handler over the tasks of a [taskstore.Store]. It does what a worker needs around its
// handler: claims, leases and their heartbeats, reasons and retries, outages of the database, and a graceful stop.
//
//	err := taskwork.Run(ctx, store, taskwork.Config{Workers: 20}, func(ctx context.Context, t taskstore.Task) error {
//		return send(ctx, t)
//	})
//
// # How often a handler runs
//
// A task whose handler returned nil is completed, and is not handled again once that is stored. Before, it can be:
// where the process dies, or somebody takes the task away. So a handler runs at least once, and what it does
// elsewhere must bear being done twice. What it writes to the same database takes effect exactly once if it calls
// [Complete] in the transaction that writes it.
//
// # Connections
//
// Run uses up to six connections of the Store's pool at a time, mostly one or two, beside those that handlers use. It
// waits for them as everybody does: a pool that handlers empty for longer than SilentFor costs them their leases.
//
// docs/work.md in the repository explains how it works, with a diagram.
package taskwork

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// Handler works on a task, which is a copy of its own. nil completes the task; an error fails it, with the error's
// text as the reason, and [Config].Retry says whether it is tried again. A panic is an error with its stack. Neither
// the text of an error nor the value of a panic should have the task's argument in it: they are stored and logged.
//
// ctx ends after [Config].Timeout, when the Grace of a stop is over, and when the lease is lost. In that last case
// [context.Cause] is [ErrLeaseLost], and what the handler returns is dropped.
type Handler func(ctx context.Context, t taskstore.Task) error

// Config says how to work. Its zero value works on all pending tasks.
type Config struct {
	Workers int                // handlers at once; 0: 10
	From    []taskstore.Filter // what to claim, in turn, as [taskstore.Store.ClaimBy]; none: every pending task
	Fair    bool               // integrations in turn, as [taskstore.Store.ClaimFair]; not together with From
	Timeout time.Duration      // of one call of the handler; 0: none

	// SilentFor is the lease: a worker that is silent for longer is taken for dead, and its tasks are handled again. It
	// should be the same in all programs that work on the same tasks. 0: a minute; at least a second.
	SilentFor time.Duration

	// Poll is the longest wait of an idle worker before it looks again at each of From. Within an hour of the last task
	// it looks about ten times a second all the same, which costs it and the server less than a hundredth of a core in
	// all: what other processes create is noticed after some 40 ms. The same holds of each of From, up to six; of more,
	// each is looked at more seldom. What its own process creates wakes it at once. Run looks for failed tasks that are
	// due as often as Poll says, about once a second at most. 0: a second.
	Poll time.Duration

	// Grace is what handlers may still take after ctx has ended. Then their context ends, and a second later the tasks
	// of those that have not returned are released; such a handler is left behind. To record all that, Run takes a third
	// of SilentFor more at most. 0: ten seconds.
	Grace time.Duration

	// Retry says after how long a task is tried again that has failed that often, by err, or that it is not: after a
	// millisecond at least. It is not asked about a [Permanent] error, and may be called by several goroutines at once.
	// nil: [DefaultRetry].
	Retry func(failures int, err error) (in time.Duration, again bool)

	// Observe is told each [Event], one after the other, by the goroutine that everything waits for: it must be quick.
	Observe func(Event)

	// Log is told each [Event], too: what goes well at level Debug, the rest at Info and Warn. nil: nothing is logged.
	Log *slog.Logger
}

// Run works until ctx ends, and returns nil after a graceful stop: no more is claimed, handlers get Grace, and what
// they did is recorded. It returns an error at once if cfg cannot be meant, and at the end if the database was away, or
// rows were locked, so that ends are not recorded; such tasks come back when they have been silent for long enough.
//
// s is over a pool, and several Runs may share it. Any number of processes may run at once. While the database is away
// Run goes on trying, handlers go on, and what they finish is recorded later.
//
// Run also requeues the tasks of silent workers and retries those that are due, of its own From. It requeues nothing
// in its first SilentFor, nor in the SilentFor after it had no database: workers that were cut off, too, need the
// time to renew their leases.
func Run(ctx context.Context, s *taskstore.Store, cfg Config, h Handler) error {
	cfg, err := cfg.complete()
	switch {
	case err != nil:
		return err
	case h == nil:
		return errors.New("taskwork: there is no handler, or Mux was given none")
	}
	for _, f := range cfg.From {
		if _, err := s.Exchange(ctx, taskstore.Ended{}, f, 0); err != nil { // only looks at f
			return err
		}
	}
	return (&owner{store: database{s}, cfg: cfg, handler: h}).run(ctx)
}

// complete returns c with its defaults, or an error if it cannot be meant.
func (c Config) complete() (Config, error) {
	var err error
	switch {
	case c.Fair && len(c.From) > 0:
		err = errors.New("taskwork: Fair takes from all integrations in turn, From says what to take from: set one of them")
	case c.Workers < 0 || c.Workers > maxWorkers:
		err = fmt.Errorf("taskwork: Workers is %d, not between 0 and %d", c.Workers, maxWorkers)
	case c.SilentFor != 0 && c.SilentFor < time.Second:
		err = fmt.Errorf("taskwork: SilentFor is %v, less than a second", c.SilentFor)
	case c.Timeout < 0 || c.Poll < 0 || c.Grace < 0:
		err = fmt.Errorf("taskwork: Timeout %v, Poll %v or Grace %v is negative", c.Timeout, c.Poll, c.Grace)
	}
	c.Workers = cmp.Or(c.Workers, 10)
	c.SilentFor = cmp.Or(c.SilentFor, time.Minute)
	c.Poll = cmp.Or(c.Poll, time.Second)
	c.Grace = min(cmp.Or(c.Grace, 10*time.Second), math.MaxInt64/2) // longer ones overflow when others are added
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	if c.Retry == nil {
		c.Retry = DefaultRetry
	}
	if c.From = slices.Clone(c.From); len(c.From) == 0 {
		c.From = []taskstore.Filter{{}}
	}
	return c, err
}

const maxWorkers = 10_000 // a claim's limit

// Mux returns what [Config].From and Run need to handle tasks by their template: each template in turn, by its own
// handler. Without handlers h is nil, which Run refuses.
func Mux(handlers map[int64]Handler) (from []taskstore.Filter, h Handler) {
	if len(handlers) == 0 { // an empty From would claim every task
		return nil, nil
	}
	handlers = maps.Clone(handlers)
	for _, template := range slices.Sorted(maps.Keys(handlers)) {
		from = append(from, taskstore.ByTemplate(template))
	}
	return from, func(ctx context.Context, t taskstore.Task) error {
		handle, ok := handlers[t.TemplateID]
		if !ok {
			return Permanent(fmt.Errorf("no handler for template %d", t.TemplateID))
		}
		return handle(ctx, t)
	}
}

// ErrLeaseLost is the [context.Cause] of a handler whose task is no longer its own: it was silent for too long, or
// somebody changed the task by hand. Another worker may have it already.
var ErrLeaseLost = errors.New("taskwork: the lease of the task is lost")

// Complete completes a handler's task in tx, so that what tx writes and the completion commit together or not at all.
// The handler calls it with its context. The handler commits tx, and returns nil only if that succeeded:
//
//	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
//		if _, err := tx.Exec(ctx, "INSERT INTO effects ..."); err != nil {
//			return err
//		}
//		return taskwork.Complete(ctx, tx)
//	})
//
// After a rollback the task is still the handler's: it may call Complete again in another transaction, or return an
// error, which fails the task. If nobody knows whether the commit succeeded, return its error, too: the failure
// is recorded only if the task is not completed.
//
// If the lease is lost the error is [ErrLeaseLost]: roll back. Call it late in tx, since it locks the task's row.
func Complete(ctx context.Context, tx pgx.Tx) error {
	l, ok := ctx.Value(leaseKey{}).(*lease)
	if !ok {
		return errors.New("taskwork: Complete needs the context that a handler was called with")
	}
	return l.complete(ctx, tx)
}

// DefaultRetry tries again 25 times: after a second, then after twice as long each time, up to six hours, in all for
// two to three days. Each wait is shortened by up to a quarter at random, so that what failed together is not tried
// together.
func DefaultRetry(failures int, _ error) (in time.Duration, again bool) {
	const retries, longest = 25, 6 * time.Hour
	doubled := min(max(failures-1, 0), 15) // beyond, it is longer than the longest
	in = min(time.Second<<doubled, longest)
	return in - rand.N(in/4), failures <= retries
}

// Permanent returns err as one after which a task is not tried again. nil stays nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }
