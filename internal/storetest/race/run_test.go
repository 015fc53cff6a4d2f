package race

import (
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
)

// How long TestRace runs, and what its actors decide.
const (
	raceTime = "TASKSTORE_RACE_TIME" // a duration, such as 30s, and longer until all was seen; just 5s if unset
	raceSeed = "TASKSTORE_RACE_SEED" // as a run printed it; the clock's if unset
)

// Sixteen workers, two programs on package taskwork, requeuers, retriers, an editor, a foreign program, an operator,
// and an actor that kills their connections. A model of a task, which has one status and at most one holder at a time,
// must explain what each of them was told, and the changes of the table too.
func TestRace(t *testing.T) {
	t.Parallel()
	length, seed, enough := 5*time.Second, uint64(time.Now().UnixNano()), anything
	if s := os.Getenv(raceTime); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatalf("%s: %v", raceTime, err)
		}
		enough = (*race).sawAll
	}
	if s := os.Getenv(raceSeed); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", raceSeed, err)
		}
	}
	t.Logf("%s=%v %s=%d", raceTime, length, raceSeed, seed)

	// A round of its own every ten seconds keeps the histories short.
	rounds := max(1, int(length/(10*time.Second)))
	for i := range rounds { //nolint:paralleltest // one after the other
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			r := newRace(t)
			r.run(seed+uint64(i), endByStore, length/time.Duration(rounds), enough)
			for _, problem := range r.problems() {
				t.Error(problem)
			}
			r.report()
		})
	}
}

// anything is the condition for the end of a short race: none.
func anything(*race) bool { return true }

// run starts all actors. They stop after that time, and not before enough reports true.
func (r *race) run(seed uint64, end endLeases, length time.Duration, enough func(*race) bool) {
	r.t.Helper()
	var running sync.WaitGroup
	others := r.pool("store", 6)
	store := storetest.NewStore(others)
	r.actor(seed).produce(store)
	for range 4 { // programs
		s := storetest.NewStore(r.pool("store", 4))
		for i := range 4 {
			w := worker{actor: r.actor(seed), store: s, most: []int{1, 1, 5, 20}[i], end: end}
			running.Go(w.run)
		}
	}
	for range 2 {
		w := &runner{actor: r.actor(seed), held: map[int64]*runLease{}, leases: map[version]*runLease{}}
		r.runners = append(r.runners, w)
		pool := r.pool("store", 8)
		running.Go(func() { w.run(storetest.NewStore(pool), pool) })
	}
	start := func(pause time.Duration, act func(a *actor)) {
		a := r.actor(seed)
		running.Go(func() { a.each(pause, func() { act(a) }) })
	}
	foreign, operator := r.pool("foreign", 2), r.pool("operator", 1)
	start(10*time.Millisecond, func(a *actor) { a.produce(store) })
	start(5*time.Millisecond, func(a *actor) { a.requeue(store) })
	start(7*time.Millisecond, func(a *actor) { a.requeue(store) })
	start(5*time.Millisecond, func(a *actor) { a.retry(store) })
	start(5*time.Millisecond, func(a *actor) { a.retryDue(store) })
	start(5*time.Millisecond, func(a *actor) { a.edit(store) })
	start(5*time.Millisecond, func(a *actor) { a.reset(operator) })
	g := gorm{actor: r.actor(seed), store: store, pool: foreign}
	running.Go(func() { g.each(2*time.Millisecond, g.write) })
	killer, pause := r.actor(seed), 100*time.Millisecond
	if storetest.OnCitus() {
		pause = time.Second // calls take longer there, and a connection each
	}
	running.Go(func() { killer.each(pause, killer.kill) })

	running.Go(func() {
		defer close(r.stop)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for now := range tick.C {
			switch ran := now.Sub(r.began); {
			case ran > length && enough(r):
				return
			case ran > length+5*time.Minute:
				r.mu.Lock()
				defer r.mu.Unlock()
				r.t.Errorf("not enough after %v: %v", ran, r.counts)
				return
			}
		}
	})
	running.Wait()
}

// kill ends a connection at random.
func (a *actor) kill() {
	rows, err := a.b.Pool.Query(a.t.Context(), `
		SELECT pid FROM pg_stat_activity
		WHERE datname = current_database() AND application_name IN ('store', 'foreign', 'operator') ORDER BY pid`)
	if err != nil {
		a.t.Error(err)
		return
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		a.t.Error(err)
		return
	}
	if len(pids) == 0 {
		return
	}
	pid := pids[a.rng.IntN(len(pids))]
	if _, err := a.b.Pool.Exec(a.t.Context(), `SELECT pg_terminate_backend($1::integer)`, pid); err != nil {
		a.t.Error(err)
	}
	if storetest.OnCitus() {
		a.endInDoubt()
	}
}

// report says what took place.
func (r *race) report() {
	r.t.Helper()
	calls, broken := 0, 0
	for _, a := range r.actors {
		for _, c := range a.log {
			calls++
			if c.broken {
				broken++
			}
		}
	}
	deadlocks := storetest.One[int64](r.t, r.b.Pool,
		`SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`)
	r.t.Logf("%d tasks, %d calls, of which %d broken, %d deadlocks; steps: %v", len(r.tasks), calls, broken, deadlocks,
		r.counts)
}
