package behaviour

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// keeper is the user of the tasks that nobody else deletes; the others come and go.
const keeper = 42

// populate creates n tasks of which every third is the keeper's, and returns the ids of these, newest
// first, and of the others.
func populate(t *testing.T, b *storetest.Bundle, n int) (kept, others []int64) {
	t.Helper()
	ts := storetest.NewTasks(n)
	for i := range ts {
		ts[i].IntegrationID, ts[i].UserID = 1, 0
		if i%3 == 0 {
			ts[i].UserID = keeper
		}
	}
	ids, err := b.Store.CreateMany(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if i%3 == 0 {
			kept = append(kept, id)
		} else {
			others = append(others, id)
		}
	}
	slices.Reverse(kept)
	return kept, others
}

// checkVisits fails the test unless each id is lower than the one before, so that none comes twice, and all that were
// kept are there.
func checkVisits(t *testing.T, visited, kept []int64) {
	t.Helper()
	for i := 1; i < len(visited); i++ {
		if visited[i] >= visited[i-1] {
			t.Fatalf("after id %d comes %d, want a lower one", visited[i-1], visited[i])
		}
	}
	seen := slices.DeleteFunc(slices.Clone(visited), func(id int64) bool {
		_, ok := slices.BinarySearchFunc(kept, id, func(k, id int64) int { return int(id - k) })
		return !ok
	})
	if !slices.Equal(seen, kept) {
		t.Errorf("visited %d of the %d rows that were there all the time", len(seen), len(kept))
	}
}

// Between any two pages others insert new rows and delete rows on both sides of the reader.
func TestPagesWhileOthersWriteBetweenThem(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	f := taskstore.ByIntegration(1)
	kept, others := populate(t, b, 3000)

	disturb := func() {
		ts := storetest.NewTasks(3)
		for i := range ts {
			ts[i].IntegrationID = 1
		}
		if _, err := b.Store.CreateMany(t.Context(), ts); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			for _, at := range []float64{0, 0.5, 1} { // the oldest, the newest and one between
				i := int(at * float64(len(others)-1))
				if err := b.Store.Delete(t.Context(), others[i]); err != nil {
					t.Fatal(err)
				}
				others = slices.Delete(others, i, i+1)
			}
		}
	}

	var visited []int64
	for before := int64(0); ; {
		page, err := b.Store.List(t.Context(), f, taskstore.Page{Before: before, Limit: 17})
		if err != nil {
			t.Fatal(err)
		}
		visited = append(visited, storetest.IDs(page)...)
		if len(page) < 17 {
			break
		}
		before = page[16].ID
		disturb()
	}
	checkVisits(t, visited, kept)

	visited = nil
	for task, err := range b.Store.All(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		if visited = append(visited, task.ID); len(visited)%200 == 0 {
			disturb()
		}
	}
	checkVisits(t, visited, kept)
}

// The same with writers that never wait for the reader.
func TestPagesWhileOthersWriteAllTheTime(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	kept, others := populate(t, b, 6000)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var inserted, deleted, moved atomic.Int64
	writers := []<-chan error{
		storetest.Start(func() error {
			for ctx.Err() == nil {
				if _, err := b.Store.Create(t.Context(), taskstore.NewTask{IntegrationID: 1}); err != nil {
					return err
				}
				inserted.Add(1)
			}
			return nil
		}),
		storetest.Start(func() error {
			for i := 0; i < len(others) && ctx.Err() == nil; i++ {
				id := others[(i*7919)%len(others)] // all over the table; 7919 is prime
				if err := b.Store.Delete(t.Context(), id); err != nil {
					return err
				}
				deleted.Add(1)
			}
			return nil
		}),
		storetest.Start(func() error { // an update moves a row within the table, not within the list
			for i := 0; ctx.Err() == nil; i++ {
				task, err := b.Store.Get(t.Context(), kept[(i*7919)%len(kept)])
				if err != nil {
					return err
				}
				if _, err := b.Store.Update(t.Context(), task); err != nil {
					return err
				}
				moved.Add(1)
			}
			return nil
		}),
	}
	for inserted.Load() == 0 || deleted.Load() == 0 || moved.Load() == 0 {
		if err := b.Pool.Ping(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []taskstore.Filter{taskstore.ByIntegration(1), {},
		taskstore.ByIntegration(1).WithStatus(taskstore.Pending)} {
		checkVisits(t, storetest.IDs(collect(t, b.Store, f)), kept)
		checkVisits(t, storetest.IDs(pages(t, b.Store, f, 99)), kept)
	}
	stop()
	for _, w := range writers {
		if err := <-w; err != nil {
			t.Error(err)
		}
	}
}

// All on a pool of a single connection: the loop's body can use the connection, and after the loop, however it ended,
// other callers can.
func TestAllHoldsNoConnection(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 2500)
	pool := b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := storetest.NewStore(pool)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a leaked connection blocks for ever
	defer cancel()

	walk := func(stopAfter int, leave func()) {
		t.Helper()
		n := 0
		for task, err := range s.All(ctx, taskstore.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			if got := pool.Stat().AcquiredConns(); got != 0 {
				t.Fatalf("%d connections are held in the loop's body", got)
			}
			if got, err := s.Get(ctx, task.ID); err != nil || got != task {
				t.Fatalf("got %+v, %v, want %+v", got, err, task)
			}
			if n++; n == stopAfter {
				leave()
				break
			}
		}
		if n != stopAfter {
			t.Errorf("the loop ran %d times, want %d", n, stopAfter)
		}
	}
	for _, stopAfter := range []int{1, 2, 999, 1000, 1001, 2500} {
		walk(stopAfter, func() {})
		if got := pool.Stat().AcquiredConns(); got != 0 {
			t.Errorf("stopped after %d tasks: %d connections are still held", stopAfter, got)
		}
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic got lost")
			}
		}()
		walk(1500, func() { panic("in the loop's body") })
	}()
	if got := pool.Stat().AcquiredConns(); got != 0 {
		t.Errorf("after a panic %d connections are still held", got)
	}
	if n, err := s.Count(ctx, taskstore.Filter{}); err != nil || n != 2500 {
		t.Errorf("counted %d, %v", n, err)
	}
}

// An error in the middle is yielded once, with a zero Task, and ends the loop.
func TestAllEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 2500)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tasks, failures := 0, 0
	for task, err := range b.Store.All(ctx, taskstore.Filter{}) {
		if err == nil {
			if tasks++; tasks == 1500 {
				cancel()
			}
			continue
		}
		failures++
		if !errors.Is(err, context.Canceled) || task != (taskstore.Task{}) {
			t.Errorf("yielded %+v, %v", task, err)
		}
	}
	if tasks != 2000 || failures != 1 {
		t.Errorf("%d tasks and %d errors, want the 2000 that were read and 1 error", tasks, failures)
	}
}

// A Seq2 can be ranged over again, and then reads again.
func TestAllCanBeRepeated(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	seq := b.Store.All(t.Context(), taskstore.Filter{})
	for n := range 3 {
		got := 0
		for _, err := range seq {
			if err != nil {
				t.Fatal(err)
			}
			got++
		}
		if got != n {
			t.Errorf("round %d yields %d tasks", n, got)
		}
		b.Create(t, n)
	}
}
