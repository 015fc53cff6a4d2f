package taskstore

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// trip is what a statement of the test's group does: it takes a time, and ends with an error or a panic.
type trip struct {
	takes time.Duration
	err   error
	ends  func()
}

// rig is a group whose statements take the time that the test says, and tell what they carried.
type rig struct {
	*group
	mu     sync.Mutex
	alone  int
	shared [][]NewTask
	fly    func(ts []NewTask) trip
	boards func(context.Context) // waits for a connection; nil: there is one
}

func newRig(fly func(ts []NewTask) trip) *rig {
	r := &rig{fly: fly}
	run := func(ctx context.Context, ts []NewTask) ([]Task, error) {
		way := r.fly(ts)
		select {
		case <-time.After(way.takes):
		case <-ctx.Done():
			return nil, &uncertainError{ctx.Err()}
		}
		if way.ends != nil {
			way.ends()
		}
		out := make([]Task, len(ts))
		for i, t := range ts {
			out[i].ID, _ = strconv.ParseInt(t.Argument, 10, 64)
		}
		return out, way.err
	}
	r.group = newGroup(func(ctx context.Context, t NewTask) (Task, error) {
		r.mu.Lock()
		r.alone++
		r.mu.Unlock()
		out, err := run(ctx, []NewTask{t})
		if err != nil {
			return Task{}, err
		}
		return out[0], nil
	}, func(ctx context.Context, board func() []NewTask) ([]Task, error) {
		if r.boards != nil {
			r.boards(ctx)
		}
		ts := board()
		r.mu.Lock()
		r.shared = append(r.shared, ts)
		r.mu.Unlock()
		return run(ctx, ts)
	}, maxUnderWay)
	return r
}

// occupy starts as many lone calls as go at once, so that the calls after them wait.
func (r *rig) occupy(t *testing.T, wg *sync.WaitGroup) {
	t.Helper()
	for i := range maxUnderWay {
		wg.Go(func() { r.call(t, -1-i) })
	}
	synctest.Wait()
}

// call creates task i and fails the test unless it gets its own task.
func (r *rig) call(t *testing.T, i int) {
	t.Helper()
	if got, err := r.do(t.Context(), NewTask{Argument: strconv.Itoa(i)}); err != nil || got.ID != int64(i) {
		t.Errorf("call %d got task %d, %v", i, got.ID, err)
	}
}

// Where each call has a connection, it goes at once, as many others as are under way. One more waits.
func TestGroupKeepsAFewApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for connections, apart := range map[int]int{1: maxUnderWay, 5: 5, 100: maxApart} {
			r := newRig(func([]NewTask) trip { return trip{takes: time.Second} })
			r.apart = newGroup(nil, nil, connections).apart
			var wg sync.WaitGroup
			for i := range apart {
				wg.Go(func() { r.call(t, i) })
				synctest.Wait()
			}
			if r.alone != apart {
				t.Errorf("%d connections: %d calls went at once, want %d", connections, r.alone, apart)
			}
			wg.Go(func() { r.call(t, -1) })
			synctest.Wait()
			r.group.mu.Lock()
			if len(r.waiting) != 1 {
				t.Errorf("%d connections: %d calls wait, want 1", connections, len(r.waiting))
			}
			r.group.mu.Unlock()
			wg.Wait()
		}
	})
}

// Calls that arrive while statements are under way share the next one, which departs when one of those returns.
func TestGroupSharesAStatement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func([]NewTask) trip { return trip{takes: time.Millisecond} })
		began := time.Now()
		var wg sync.WaitGroup
		r.occupy(t, &wg)
		for i := range 300 {
			wg.Go(func() { r.call(t, i) })
		}
		wg.Wait()
		var sizes []int
		for _, ts := range r.shared {
			sizes = append(sizes, len(ts))
		}
		slices.Sort(sizes) // both are sent at once
		if r.alone != maxUnderWay || !slices.Equal(sizes, []int{300 - maxShared, maxShared}) {
			t.Errorf("%d alone, shared: %v", r.alone, sizes)
		}
		if took := time.Since(began); took != 2*time.Millisecond {
			t.Errorf("took %v of the bubble's time, want the two statements' 2ms", took)
		}
	})
}

// A statement that hangs delays the calls behind it by maxWait, each of them.
func TestGroupGoesAroundWhatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := time.Hour
		r := newRig(func(ts []NewTask) trip {
			if ts[0].Argument[0] == '-' {
				return trip{takes: hang}
			}
			return trip{}
		})
		var wg sync.WaitGroup
		r.occupy(t, &wg)
		for i := range 10 {
			began := time.Now()
			r.call(t, i)
			if waited := time.Since(began); waited != maxWait {
				t.Errorf("call %d waited %v, want %v", i, waited, maxWait)
			}
		}
		wg.Wait()
	})
}

// One call's fault is its own: the server has undone the shared statement, and all go alone at the same time.
func TestGroupFallsBackAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := &pgconn.PgError{Code: "23514", SeverityUnlocalized: "ERROR"}
		r := newRig(func(ts []NewTask) trip {
			switch {
			case len(ts) > 1:
				return trip{takes: time.Second, err: refused}
			case ts[0].Argument == "7":
				return trip{takes: time.Second, err: refused}
			}
			return trip{takes: time.Second}
		})
		var wg sync.WaitGroup
		r.occupy(t, &wg)
		began := time.Now()
		for i := range 100 {
			wg.Go(func() {
				if i != 7 {
					r.call(t, i)
				} else if _, err := r.do(t.Context(), NewTask{Argument: "7"}); !errors.Is(err, refused) {
					t.Errorf("the call at fault got %v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(began); took != maxWait+2*time.Second {
			t.Errorf("took %v, want the shared statement's second and one more for all", took)
		}
	})
}

// An error that no row is the cause of is everybody's, and nothing is sent again.
func TestGroupSharesAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lost := &uncertainError{errors.New("connection reset")}
		r := newRig(func(ts []NewTask) trip {
			if len(ts) > 1 {
				return trip{err: lost}
			}
			return trip{takes: time.Second}
		})
		var wg sync.WaitGroup
		r.occupy(t, &wg)
		for i := range 10 {
			wg.Go(func() {
				if _, err := r.do(t.Context(), NewTask{Argument: strconv.Itoa(i)}); !errors.Is(err, lost) {
					t.Errorf("call %d got %v", i, err)
				}
			})
		}
		wg.Wait()
		if r.alone != maxUnderWay {
			t.Errorf("%d statements were sent for one call", r.alone)
		}
	})
}

// A caller that gives up while it waits has sent nothing. One that gives up while its statement is under way does not
// know, and takes nobody with it; when all have given up the statement is cancelled.
func TestGroupCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func([]NewTask) trip { return trip{takes: time.Second} })
		var wg sync.WaitGroup
		r.occupy(t, &wg)
		give := func(ctx context.Context, i int) *error {
			err := new(error)
			wg.Go(func() { _, *err = r.do(ctx, NewTask{Argument: strconv.Itoa(i)}) })
			return err
		}
		uncertain := func(err error) bool { return errors.Is(fail(err, "create"), ErrUncertain) }

		queued, cancel := context.WithCancel(t.Context())
		left := give(queued, 1)
		stays := give(t.Context(), 2)
		stays3 := give(t.Context(), 3)
		synctest.Wait()
		cancel()
		synctest.Wait()
		if !errors.Is(*left, context.Canceled) || uncertain(*left) {
			t.Errorf("gave up in the queue: %v", *left)
		}
		<-time.After(maxWait)
		synctest.Wait()
		if len(r.shared) != 1 || len(r.shared[0]) != 2 {
			t.Fatalf("shared: %v", r.shared)
		}

		inFlight, cancel2 := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel2()
		a, b := give(inFlight, 4), give(inFlight, 5)
		<-time.After(200 * time.Millisecond)
		synctest.Wait()
		if !uncertain(*a) || !uncertain(*b) || !errors.Is(*a, context.DeadlineExceeded) {
			t.Errorf("gave up under way: %v, %v", *a, *b)
		}
		r.mu.Lock()
		if len(r.shared) != 2 {
			t.Errorf("%d shared statements, want 2", len(r.shared))
		}
		r.mu.Unlock()
		wg.Wait()
		if *stays != nil || *stays3 != nil {
			t.Errorf("those that stayed got %v and %v", *stays, *stays3)
		}
		r.group.mu.Lock()
		defer r.group.mu.Unlock()
		if r.underWay != 0 || len(r.waiting) != 0 {
			t.Errorf("%d are under way, %d wait", r.underWay, len(r.waiting))
		}
	})
}

// A DB that panics does so in its callers, where they can recover, and one that ends the goroutine leaves its callers
// uncertain; the group goes on.
func TestGroupPanics(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(){
		"panic": func() { panic("of the DB") },
		"exit":  runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(func(ts []NewTask) trip {
					if len(ts) > 1 {
						return trip{ends: ends}
					}
					return trip{takes: time.Second}
				})
				var wg sync.WaitGroup
				r.occupy(t, &wg)
				var panicked, uncertain int
				for i := range 8 {
					wg.Go(func() {
						defer func() {
							p := recover()
							r.mu.Lock()
							defer r.mu.Unlock()
							if p == "of the DB" {
								panicked++
							}
						}()
						_, err := r.do(t.Context(), NewTask{Argument: strconv.Itoa(i)})
						r.mu.Lock()
						defer r.mu.Unlock()
						if errors.Is(err, errAbandoned) && errors.Is(fail(err, "create"), ErrUncertain) {
							uncertain++
						}
					})
				}
				wg.Wait()
				if want := map[string]int{"panic": 8}[name]; panicked != want || uncertain != 8-want {
					t.Errorf("%d callers panicked, %d are uncertain", panicked, uncertain)
				}
				r.call(t, 9)
			})
		})
	}
}

// Who gives up while a shared statement waits for a connection has sent nothing, and its task does not go with the
// others.
func TestGroupWaitsForAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(func([]NewTask) trip { return trip{takes: time.Hour} })
		r.boards = func(ctx context.Context) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
		var wg sync.WaitGroup
		r.occupy(t, &wg)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		leaves := func(i int) {
			wg.Go(func() {
				_, err := r.do(ctx, NewTask{Argument: strconv.Itoa(i)})
				if !errors.Is(err, context.DeadlineExceeded) || errors.Is(fail(err, "create"), ErrUncertain) {
					t.Errorf("gave up before the statement was sent: %v", err)
				}
			})
		}
		leaves(1)
		wg.Go(func() { r.call(t, 2) })
		leaves(3)
		wg.Wait()
		if len(r.shared) != 1 || len(r.shared[0]) != 1 || r.shared[0][0].Argument != "2" {
			t.Errorf("shared: %v", r.shared)
		}

		r.shared = nil
		r.occupy(t, &wg)
		ctx, cancel = context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		leaves(4)
		leaves(5)
		wg.Wait()
		if len(r.shared) != 1 || len(r.shared[0]) != 0 {
			t.Errorf("shared by nobody: %v", r.shared)
		}
	})
}
