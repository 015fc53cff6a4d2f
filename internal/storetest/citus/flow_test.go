package citus

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// flow is tasks that some programs create and work on, whatever breaks meanwhile.
type flow struct {
	t       *testing.T
	b       *storetest.Bundle
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	created []int64        // that were acknowledged
	done    map[int64]int  // how often each was acknowledged as completed
	leases  map[lease]bool // that were given
	kinds   map[string]int // what calls came to
}

type lease struct {
	id      int64
	version taskstore.Millis
}

func start(t *testing.T, b *storetest.Bundle) *flow {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &flow{t: t, b: b, stop: stop, done: map[int64]int{}, leases: map[lease]bool{}, kinds: map[string]int{}}
	for range 8 {
		s := storetest.NewStore(b.Connect(t, func(c *pgxpool.Config) {
			c.MaxConns = 2
			c.ConnConfig.RuntimeParams["application_name"] = "flow"
		}))
		f.running.Go(func() {
			for ctx.Err() == nil {
				f.create(s)
				f.work(s, rand.IntN(4))
			}
		})
	}
	f.running.Go(func() {
		for ctx.Err() == nil {
			_, err := b.Store.RequeueStale(t.Context(), taskstore.Filter{}, 2*time.Second, 1000)
			f.count("requeue", err)
		}
	})
	return f
}

// count notes what a call came to.
func (f *flow) count(call string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.kinds[call]++
	case errors.Is(err, taskstore.ErrConflict):
		f.kinds[call+" too late"]++
	case errors.Is(err, taskstore.ErrUncertain):
		f.kinds[call+" uncertain"]++
	default:
		f.kinds[call+" failed"]++
	}
}

func (f *flow) create(s *taskstore.Store) {
	ids, err := s.CreateMany(f.t.Context(), storetest.NewTasks(20))
	f.count("create", err)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.created = append(f.created, ids...)
	}
}

// work claims tasks and, in one of four ways, ends their leases.
func (f *flow) work(s *taskstore.Store, way int) {
	ctx := f.t.Context()
	ts, err := s.Claim(ctx, 25)
	f.count("claim", err)
	f.mu.Lock()
	for _, task := range ts {
		l := lease{task.ID, task.UpdatedAt}
		if f.leases[l] {
			f.t.Errorf("task %d was claimed twice with version %d", task.ID, task.UpdatedAt)
		}
		f.leases[l] = true
	}
	f.mu.Unlock()
	switch way {
	case 0: // a worker that dies
		return
	case 1:
		f.count("release", s.Release(ctx, ts...))
		return
	case 2:
		f.count("heartbeat", s.Heartbeat(ctx, ts))
	}
	err = s.Complete(ctx, ts...)
	f.count("complete", err)
	var lost *taskstore.ConflictError
	if err != nil && !errors.As(err, &lost) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, task := range ts {
		if lost == nil || !slices.Contains(lost.IDs, task.ID) {
			f.done[task.ID]++
		}
	}
}

// end stops the programs, works on until everything is done, and says what was lost or done twice.
func (f *flow) end() {
	f.t.Helper()
	f.stop()
	f.running.Wait()
	for ended := time.Now(); ; {
		_, err := f.b.Store.RequeueStale(f.t.Context(), taskstore.Filter{}, time.Millisecond, 10_000)
		f.work(f.b.Store, 3)
		left, backlogErr := f.b.Store.Backlog(f.t.Context())
		if err = errors.Join(err, backlogErr); err == nil && left.Pending+left.Processing == 0 {
			break
		}
		if time.Since(ended) > 5*time.Minute {
			f.t.Fatalf("not everything is done: %+v, %v", left, err)
		}
	}
	completed := map[int64]bool{}
	for _, row := range storetest.Stored(f.t, f.b.Pool) {
		completed[row.ID] = row.Status == taskstore.Completed
	}
	for _, id := range f.created {
		if !completed[id] {
			f.t.Errorf("task %d was created, and is not completed", id)
		}
	}
	for id, times := range f.done {
		if times != 1 || !completed[id] {
			f.t.Errorf("task %d was done %d times; completed: %v", id, times, completed[id])
		}
	}
	f.t.Logf("%d tasks created, %d completed, %d acknowledged; calls: %v",
		len(f.created), len(completed), len(f.done), f.kinds)
}

// race kills connections of the programs for TASKSTORE_RACE_TIME, and ends.
func (f *flow) race() {
	f.t.Helper()
	length := 5 * time.Second
	if set := os.Getenv("TASKSTORE_RACE_TIME"); set != "" {
		var err error
		if length, err = time.ParseDuration(set); err != nil {
			f.t.Fatal(err)
		}
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		// An error says that the coordinator is away.
		_, _ = f.b.Admin.Exec(f.t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'flow' ORDER BY random() LIMIT 1`)
	}
	f.end()
}
