package faults

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Each of the creates that share a statement is told what the table says of Create. None is told what happens to the
// others.
func TestSharedCreates(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := newProxy(t, b.URL)
	for _, f := range []fault{
		{prepare: true},
		{},
		{request: 0.5},
		{request: 1},
		{request: 1, answer: 0.5},
		{request: 1, answer: 0.999},
		{mute: true},
		{mute: true, request: 1},
	} {
		b.Exec(t, `TRUNCATE tasks`)
		f.statement = "CreateTasksShared"
		pool := b.Connect(t, func(c *pgxpool.Config) {
			p.through(c)
			c.MaxConns = 8
		})
		s := taskstore.New(pool, taskstore.WithGroupCommit(true))
		next := p.next(f)
		ctx := t.Context()
		if f.mute {
			ctx = deadline{ctx, next.hit}
		}
		results := make(map[string]error)
		for !next.done() {
			createAtOnce(ctx, s, 64, results)
		}
		p.heal()
		pool.Close() // what is still under way has ended then

		times := make(map[string]int)
		for _, row := range storetest.Stored(t, b.Admin) {
			times[row.Argument]++
		}
		uncertain := 0
		for argument, err := range results {
			n := times[argument]
			switch told(err) {
			case "success":
				if n != 1 {
					t.Errorf("%+v: a task that was created is stored %d times", f, n)
				}
			case "the cause":
				if n != 0 {
					t.Errorf("%+v: error %v, but it is stored %d times", f, err, n)
				}
			case "`ErrUncertain`":
				uncertain++
				if done := f.request == 1; !f.mute && (n == 1) != done {
					t.Errorf("%+v: error %v, and it is stored %d times", f, err, n)
				}
			default:
				t.Errorf("%+v: error %v", f, err)
			}
		}
		if f.prepare && uncertain > 0 || !f.prepare && uncertain < 2 {
			t.Errorf("%+v: it is uncertain for %d callers", f, uncertain)
		}
	}
}

// A create that waits for a connection until its deadline was never sent, shared or not.
func TestSharedCreatesWithoutAConnection(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	pool := b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	only, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := taskstore.New(pool, taskstore.WithGroupCommit(true))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	results := make(map[string]error)
	createAtOnce(ctx, s, 64, results)
	only.Release()
	for _, err := range results {
		if told(err) != "the cause" || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller is told %s (%v)", told(err), err)
		}
	}
	if rows := storetest.Stored(t, b.Admin); len(rows) > 0 {
		t.Errorf("stored %+v", rows)
	}
}

// createAtOnce runs n creates at the same time, and adds their results by argument.
func createAtOnce(ctx context.Context, s *taskstore.Store, n int, results map[string]error) {
	var mu sync.Mutex
	var running sync.WaitGroup
	first := len(results)
	for i := range n {
		running.Go(func() {
			argument := strconv.Itoa(first + i)
			_, err := s.Create(ctx, taskstore.NewTask{Argument: argument})
			mu.Lock()
			defer mu.Unlock()
			results[argument] = err
		})
	}
	running.Wait()
}
