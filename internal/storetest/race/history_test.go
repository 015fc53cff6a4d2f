package race

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// race is a table that many actors change at once, and the history of what each of them was told.
type race struct {
	t     *testing.T
	b     *storetest.Bundle
	began time.Time
	stop  chan struct{}

	calls   atomic.Int64
	actors  []*actor
	runners []*runner // those of the actors that work by taskwork

	sessions sessions // on Citus

	mu     sync.Mutex
	tasks  []int64 // that were created
	counts map[counted]int
}

// counted is a kind of call with the outcome of a step.
type counted struct {
	kind    stepKind
	outcome outcome
}

func newRace(t *testing.T) *race {
	t.Helper()
	b := storetest.Setup(t)
	b.Pool = b.Admin // the test's own; what races takes connections from race.pool
	r := &race{t: t, b: b, began: time.Now(), stop: make(chan struct{}), counts: map[counted]int{}}
	if storetest.OnCitus() {
		r.auditOnNodes()
	} else if _, err := b.Pool.Exec(t.Context(), auditTasks, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	return r
}

// pool opens connections in the name of a program. Each call's number is set in the session that serves
// it, where the audit finds it.
func (r *race) pool(program string, conns int32) *pgxpool.Pool {
	r.t.Helper()
	return r.b.Connect(r.t, func(c *pgxpool.Config) {
		c.MaxConns = conns
		c.ConnConfig.RuntimeParams["application_name"] = program
		c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			number, _ := ctx.Value(callNumber{}).(int64)
			if storetest.OnCitus() {
				return r.sessions.serves(conn.PgConn().PID(), session{program, number}), nil
			}
			_, err := conn.Exec(ctx, "SELECT set_config('race.call', $1, false)", strconv.FormatInt(number, 10))
			return err == nil, nil // a connection that was killed while idle makes room for another
		}
	})
}

type callNumber struct{}

// call is one call by an actor.
type call struct {
	kind             stepKind
	number           int64
	called, returned int64 // nanoseconds
	broken           bool  // by its connection's end: it may have taken place
	partial          bool  // a later statement of it may have changed tasks, and had no answer
	silentFor        time.Duration
	retryIn          map[int64]time.Duration // of tasks that it was to fail with a reason
	steps            map[int64][]step        // by task
}

// Kinds of calls whose steps are of other kinds.
const (
	callExchange = "exchange"  // ends, and then claims
	callRetryDue = "retry due" // retries
	callRun      = "run"       // all that a taskwork.Run does
)

func (c *call) add(task int64, s step) { c.steps[task] = append(c.steps[task], s) }

// reason is why the call fails tasks.
func (c *call) reason() string { return "call " + strconv.FormatInt(c.number, 10) }

// actor makes calls, one after the other.
type actor struct {
	*race
	client int
	rng    *rand.Rand
	log    map[int64]*call // by number
}

func (r *race) actor(seed uint64) *actor {
	client := len(r.actors)
	a := &actor{race: r, client: client, rng: rand.New(rand.NewPCG(seed, uint64(client))), log: map[int64]*call{}}
	r.actors = append(r.actors, a)
	return a
}

// do makes a call and notes it, for f to add its steps. Its error is nil, a conflict, or a broken connection.
func (a *actor) do(kind stepKind, f func(ctx context.Context, c *call) error) (*call, error) {
	number := a.calls.Add(1)
	c := &call{kind: kind, number: number, steps: map[int64][]step{}, called: a.now()}
	err := f(context.WithValue(a.t.Context(), callNumber{}, number), c)
	c.returned = a.now()
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, taskstore.ErrConflict):
	case (kind == stepReset || kind == stepTouch || kind == stepSave) && storetest.SQLState(err) == "40P01":
		// Beside upkeep that waits for locks, as on Citus, a foreign program may be the victim of a deadlock.
	case kind == callExchange && storetest.SQLState(err) == "55P03": // a killed session's transaction may be in doubt
	case errors.As(err, &pg) && pg.Code != "57P01", // admin_shutdown
		errors.Is(err, taskstore.ErrInvalid), errors.Is(err, taskstore.ErrNotFound):
		a.t.Errorf("%s: %v", kind, err)
	default:
		c.broken = true
	}
	a.log[number] = c
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, steps := range c.steps {
		for _, s := range steps {
			a.counts[counted{c.kind, s.outcome}]++
		}
	}
	return c, err
}

// now is the time in the histories.
func (r *race) now() int64 { return time.Since(r.began).Nanoseconds() }

// batch notes the outcome of a call that presented these tasks: s for each of them, done unless err says
// otherwise. It returns those that err names.
func (c *call) batch(presented []taskstore.Task, s step, err error) (lost []taskstore.Task) {
	var conflict *taskstore.ConflictError
	isConflict := errors.As(err, &conflict)
	for _, task := range presented {
		s.version, s.outcome = task.UpdatedAt, tookPlace
		switch {
		case isConflict && slices.Contains(conflict.IDs, task.ID):
			s.outcome = wasRefused
			lost = append(lost, task)
		case err != nil && !isConflict:
			s.outcome = isUnknown
		}
		c.add(task.ID, s)
	}
	return lost
}

// sawAll reports whether each kind of call had steps that took place, and somebody was late.
func (r *race) sawAll() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, kind := range []stepKind{
		stepClaim, stepHeartbeat, stepEnd, stepRequeue, stepRetry, stepRead, stepUpdate, stepReset, stepTouch, stepSave,
		callExchange, callRetryDue, "run: completed", "run: failed", "run: lost",
	} {
		if r.counts[counted{kind, tookPlace}] == 0 {
			return false
		}
	}
	return r.counts[counted{stepHeartbeat, wasRefused}] > 0 && r.counts[counted{stepEnd, wasRefused}] > 0
}

// running reports whether the race goes on.
func (r *race) running() bool {
	select {
	case <-r.stop:
		return false
	default:
		return true
	}
}

// created makes these tasks known to all.
func (r *race) created(ids []int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tasks = append(r.tasks, ids...)
}

// anyTask returns a task at random, rather a new one.
func (a *actor) anyTask() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.tasks)
	recent := min(n, 100)
	return a.tasks[n-1-a.rng.IntN(recent)]
}

// oneIn reports true once in n times.
func (a *actor) oneIn(n int) bool { return a.rng.IntN(n) == 0 }
