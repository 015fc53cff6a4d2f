package taskwork

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

func nothing(context.Context, taskstore.Task) error { return nil }

func sleep(d time.Duration) Handler {
	return func(context.Context, taskstore.Task) error {
		time.Sleep(d)
		return nil
	}
}

func TestClaimsOnlyWhatStartsNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(20)
		r := start(t, m, Config{Workers: 4}, sleep(90*time.Second))
		wait(time.Minute)
		if n := len(r.told(Started)); n != 4 {
			t.Errorf("%d tasks started with 4 workers", n)
		}
		for id := int64(5); id <= 20; id++ {
			r.wantStatus(t, id, taskstore.Pending)
		}
		wait(10 * time.Minute)
		if n := len(r.told(Completed)); n != 20 {
			t.Errorf("%d of 20 tasks completed", n)
		}
		r.want(t, Lost)
		r.finish(t)
	})
}

func TestHandlersMayRunForAnyMultipleOfTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(3)
		slow := start(t, m, Config{SilentFor: 10 * time.Second}, sleep(5*time.Minute))
		other := start(t, m, Config{SilentFor: 10 * time.Second}, sleep(5*time.Minute)) // it requeues what is silent
		wait(10 * time.Minute)
		if n := len(slow.told(Completed)) + len(other.told(Completed)); n != 3 {
			t.Errorf("%d tasks completed, want 3", n)
		}
		slow.want(t, Requeued)
		other.want(t, Requeued)
		slow.finish(t)
		other.finish(t)
	})
}

type mute struct{ text string }

func (m *mute) Error() string { return m.text }

func TestFailures(t *testing.T) {
	t.Parallel()
	passing := errors.New("not now")
	tests := map[string]struct {
		handler Handler
		want    string // how the failure begins
		tries   int
	}{
		"error":     {func(context.Context, taskstore.Task) error { return passing }, "1: not now", 3},
		"permanent": {func(context.Context, taskstore.Task) error { return Permanent(passing) }, "1: not now", 1},
		"panic":     {func(context.Context, taskstore.Task) error { panic("oh") }, "1: panic: oh\n\ngoroutine ", 3},
		"text that panics": {
			func(context.Context, taskstore.Task) error { return (*mute)(nil) }, "1: panic: runtime error: invalid memory", 3,
		},
		"panic in Complete": {
			func(ctx context.Context, _ taskstore.Task) error { return Complete(ctx, nil) }, "1: panic: no transaction", 3,
		},
		"goexit": {func(context.Context, taskstore.Task) error {
			runtime.Goexit() // as t.FailNow does
			return nil
		}, "1: the handler ended its goroutine", 3},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked []int
				retry := func(failures int, _ error) (time.Duration, bool) {
					asked = append(asked, failures)
					return time.Minute, failures < 3
				}
				r := start(t, newMemory(1), Config{Retry: retry}, test.handler)
				wait(time.Hour)
				failed := r.told(Failed)
				if len(failed) != test.tries || !strings.HasPrefix(failed[0], test.want) {
					t.Errorf("failed %d times, by %q; want %d times, by %q…", len(failed), failed, test.tries, test.want)
				}
				if want := []int{1, 2, 3}[:len(asked)]; !slices.Equal(asked, want) {
					t.Errorf("Retry was asked about failures %v", asked)
				}
				r.wantStatus(t, 1, taskstore.Failed)
				r.finish(t)
			})
		})
	}
}

func TestTimeoutEndsTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		r := start(t, newMemory(1), Config{Timeout: 3 * time.Second}, func(ctx context.Context, _ taskstore.Task) error {
			began := time.Now()
			<-ctx.Done()
			took = time.Since(began)
			return Permanent(ctx.Err())
		})
		wait(time.Minute)
		if took != 3*time.Second {
			t.Errorf("the context ended after %v", took)
		}
		r.want(t, Failed, "1: context deadline exceeded")
		r.finish(t)
	})
}

func TestLostLeaseEndsTheContextAndDropsTheResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cause error
		m := newMemory(1)
		r := start(t, m, Config{Workers: 1}, func(ctx context.Context, _ taskstore.Task) error {
			if cause == nil { // the first time
				<-ctx.Done()
				cause = context.Cause(ctx)
			}
			return nil
		})
		wait(time.Second)
		m.set(func() { m.move(m.rows[1], taskstore.Pending) }) // an operator's reset
		wait(time.Minute)
		if !errors.Is(cause, ErrLeaseLost) {
			t.Errorf("the context ended by %v", cause)
		}
		r.want(t, Lost, "1")
		r.want(t, Completed, "1") // the second time
		r.wantStatus(t, 1, taskstore.Completed)
		r.finish(t)
	})
}

func TestStop(t *testing.T) {
	t.Parallel()
	t.Run("waits for handlers", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := start(t, newMemory(5), Config{Workers: 2}, sleep(5*time.Second))
			wait(time.Second)
			r.finish(t)
			r.want(t, Released)
			if n := len(r.told(Completed)); n != 2 {
				t.Errorf("%d tasks completed, want the 2 that had begun", n)
			}
			r.wantStatus(t, 3, taskstore.Pending)
		})
	})
	t.Run("ends their context after the grace", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := start(t, newMemory(1), Config{Grace: 3 * time.Second}, func(ctx context.Context, _ taskstore.Task) error {
				<-ctx.Done()
				return ctx.Err()
			})
			wait(time.Second)
			began := time.Now()
			r.finish(t)
			if took := time.Since(began).Round(100 * time.Millisecond); took != 3*time.Second {
				t.Errorf("the stop took %v", took)
			}
			r.want(t, Released, "1: context canceled")
			r.wantStatus(t, 1, taskstore.Pending)
		})
	})
	t.Run("leaves those behind that do not heed it", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := start(t, newMemory(1), Config{}, sleep(time.Hour))
			wait(time.Second)
			r.finish(t)
			r.want(t, Released, "1")
			r.wantStatus(t, 1, taskstore.Pending)
			wait(time.Hour) // for the handler
		})
	})
	t.Run("says what it could not record", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(1)
			r := start(t, m, Config{}, sleep(5*time.Second))
			wait(time.Second)
			m.set(func() { m.down = errDown })
			r.stop()
			if err := <-r.done; err == nil || !strings.Contains(err.Error(), "1 tasks") {
				t.Errorf("Run returned %v", err)
			}
		})
	})
	t.Run("waits for ever", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			cfg := Config{Grace: math.MaxInt64, SilentFor: math.MaxInt64}
			r := start(t, newMemory(1), cfg, sleep(1000*time.Hour))
			wait(time.Second)
			r.finish(t)
			r.want(t, Completed, "1")
		})
	})
	t.Run("before it begins", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			cfg, _ := Config{}.complete()
			m := newMemory(1)
			if err := (&owner{store: m, cfg: cfg, handler: nothing}).run(ctx); err != nil || len(m.calls) > 0 {
				t.Errorf("Run returned %v after calls %q", err, m.calls)
			}
		})
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(0)
		r := start(t, m, Config{Poll: time.Second}, nothing)
		polls := func() int {
			before := m.count("exchange")
			wait(time.Minute)
			return m.count("exchange") - before
		}
		wait(time.Minute)
		if n := polls(); n < 500 || n > 1000 {
			t.Errorf("%d polls in the third minute, want about ten a second", n)
		}
		m.set(func() { m.add(1, taskstore.Pending) }) // by another process
		wait(shortPoll + 5*time.Millisecond)
		r.wantStatus(t, 1, taskstore.Completed)
		wait(time.Hour)
		if n := polls(); n < 60 || n > 120 {
			t.Errorf("%d polls in a minute after an hour, want one a second or a little more", n)
		}
		m.create(2)
		wait(5 * time.Millisecond)
		r.wantStatus(t, 2, taskstore.Completed) // it did not wait for a poll
		r.finish(t)
	})
}

// What this process creates for others is no reason to look.
func TestArrivalsOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const others, last = 1000, 1001
		m := newMemory(0)
		r := start(t, m, Config{From: []taskstore.Filter{taskstore.ByTemplate(last)}}, nothing)
		wait(time.Minute)
		before := m.count("exchange")
		for id := range int64(others) {
			m.create(id + 1)
			wait(10 * time.Millisecond)
		}
		if n := m.count("exchange") - before; n > others/5 {
			t.Errorf("%d looks while %d tasks came for others in ten seconds, want about ten a second", n, others)
		}
		m.create(last)
		wait(5 * time.Millisecond)
		r.wantStatus(t, last, taskstore.Completed)
		r.finish(t)
		if len(m.waiting) != 0 {
			t.Error("it still waits for arrivals")
		}
	})
}

// However many queues there are to look at, an idle worker costs little, and waits for none longer than Poll.
func TestIdleWithManyQueues(t *testing.T) {
	t.Parallel()
	for queues, looks := range map[int]int{4: 40 * 60, 20: 60 * 60, 100: 120 * 60} {
		t.Run(strconv.Itoa(queues), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(0)
				r := start(t, m, Config{From: make([]taskstore.Filter, queues)}, nothing)
				wait(time.Minute)
				before := m.count("exchange")
				wait(time.Minute)
				if n := m.count("exchange") - before; n < looks*3/4 || n > looks*3/2 {
					t.Errorf("%d looks in a minute, want about %d", n, looks)
				}
				r.finish(t)
			})
		})
	}
}

func TestFromIsTakenInTurn(t *testing.T) {
	t.Parallel()
	var handled atomic.Int64
	from, h := Mux(map[int64]Handler{
		7: func(context.Context, taskstore.Task) error { handled.Add(1); return nil },
		2: nothing,
	})
	if want := []taskstore.Filter{taskstore.ByTemplate(2), taskstore.ByTemplate(7)}; !slices.Equal(from, want) {
		t.Errorf("Mux claims from %v", from)
	}
	if err := h(t.Context(), taskstore.Task{TemplateID: 7}); err != nil || handled.Load() != 1 {
		t.Errorf("template 7 was handled %d times, %v", handled.Load(), err)
	}
	if from, h := Mux(nil); from != nil || h != nil { // no From means all
		t.Errorf("without handlers Mux claims from %v", from)
	}
	if err := h(t.Context(), taskstore.Task{TemplateID: 1}); !errors.As(err, new(permanentError)) {
		t.Errorf("a template without handler is %v", err)
	}
}

func TestDefaultRetry(t *testing.T) {
	t.Parallel()
	for failures, longest := 1, time.Second; failures <= 25; failures, longest = failures+1, min(2*longest, 6*time.Hour) {
		if in, again := DefaultRetry(failures, nil); !again || in > longest || in < longest*3/4 {
			t.Errorf("after %d failures: %v, %t; want up to %v", failures, in, again, longest)
		}
	}
	if _, again := DefaultRetry(26, nil); again {
		t.Error("it retries more than 25 times")
	}
}

func TestConfigThatCannotBeMeant(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"Fair and From": {Fair: true, From: []taskstore.Filter{{}}},
		"Workers":       {Workers: -1},
		"SilentFor":     {SilentFor: time.Millisecond},
		"Timeout":       {Timeout: -1},
	} {
		if err := Run(t.Context(), nil, cfg, nothing); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := Run(t.Context(), nil, Config{}, nil); err == nil {
		t.Error("no handler: no error")
	}
}
