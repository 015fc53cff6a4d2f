package taskwork

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/taskstore"
)

// A call that was done, and whose answer is lost.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	lose := func(m *memory, call string, err error) {
		m.after = func(c string) error {
			if c != call {
				return nil
			}
			m.after = nil
			return fmt.Errorf("%w: %w", taskstore.ErrUncertain, err)
		}
	}
	t.Run("of delayed ends", func(t *testing.T) { // which then go one by one
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(2)
			locked := time.Now().Add(1500 * time.Millisecond)
			m.before = func(_ string, e taskstore.Ended) error {
				switch {
				case len(e.Completed) == 0:
				case time.Now().Before(locked):
					return &pgconn.PgError{Code: "55P03", SeverityUnlocalized: "ERROR", Message: "locked"}
				case len(e.Completed) == 2:
					m.before = nil
					lose(m, "exchange", context.DeadlineExceeded)
				}
				return nil
			}
			r := start(t, m, Config{}, sleep(time.Second))
			wait(time.Minute)
			r.want(t, Lost)
			if got := slices.Sorted(slices.Values(r.told(Completed))); !slices.Equal(got, []string{"1 unsure", "2 unsure"}) {
				t.Errorf("completed: %q", got)
			}
			r.finish(t)
		})
	})
	t.Run("of an end", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(1)
			r := start(t, m, Config{}, sleep(time.Second))
			wait(500 * time.Millisecond)
			m.set(func() {
				m.before = func(_ string, e taskstore.Ended) error {
					if len(e.Completed) > 0 {
						m.before = nil
						lose(m, "exchange", errDown)
					}
					return nil
				}
			})
			wait(time.Minute)
			r.want(t, Lost)
			r.want(t, Completed, "1 unsure")
			r.wantStatus(t, 1, taskstore.Completed)
			r.finish(t)
		})
	})
	// It was done or not, and a heartbeat or the end of the handler is what comes next.
	for name, test := range map[string]struct {
		done error
		took time.Duration
	}{
		"of a heartbeat":                  {errDown, 10 * time.Minute},
		"of a heartbeat before the end":   {errDown, 10*time.Second + 4*time.Millisecond},
		"of a heartbeat that is not done": {errUndone, 10 * time.Minute},
		"of one not done before the end":  {errUndone, 10*time.Second + 4*time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(1)
				r := start(t, m, Config{}, sleep(test.took))
				wait(time.Second)
				m.set(func() { lose(m, "commit", test.done) })
				wait(time.Hour)
				r.want(t, Lost)
				r.want(t, Away, "0: connection refused")
				r.want(t, Completed, "1")
				r.wantStatus(t, 1, taskstore.Completed)
				r.finish(t)
			})
		})
	}
	// Another trip brings the task, which was retried, before the answer that it has failed.
	t.Run("overtaken", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(2)
			m.late = func(e taskstore.Ended) time.Duration {
				if len(e.Failed) == 0 {
					return 0
				}
				m.late = nil
				return 10 * time.Second
			}
			again := false
			cfg := Config{
				Workers: 2, Retry: func(int, error) (time.Duration, bool) { return time.Millisecond, true },
			}
			r := start(t, m, cfg, func(_ context.Context, task taskstore.Task) error {
				switch {
				case task.ID == 2:
					time.Sleep(5 * time.Second)
				case !again:
					again = true
					return errors.New("a passing fault")
				}
				return nil
			})
			wait(time.Minute)
			r.want(t, Lost)
			r.want(t, Failed, "1 unsure: a passing fault")
			r.want(t, Completed, "2", "1")
			r.finish(t)
		})
	})
	// Another trip brings the task, which somebody put back, before the answer that its end came too late.
	t.Run("overtaken by a stranger's", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(1)
			again := false
			r := start(t, m, Config{Workers: 2}, func(context.Context, taskstore.Task) error {
				if again {
					return nil
				}
				again = true
				m.set(func() {
					m.move(m.rows[1], taskstore.Pending)
					m.late = func(e taskstore.Ended) time.Duration {
						if len(e.Completed) > 0 {
							m.late = nil
							return 2 * time.Second
						}
						return time.Second
					}
				})
				time.Sleep(500 * time.Millisecond)
				return nil
			})
			wait(time.Minute)
			r.want(t, Lost, "1")
			r.want(t, Completed, "1")
			r.finish(t)
		})
	})
	t.Run("of a claim", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(1)
			lose(m, "exchange", errDown)
			r := start(t, m, Config{}, nothing)
			wait(10 * time.Minute)
			r.want(t, Requeued, "0")
			r.want(t, Completed, "1")
			r.finish(t)
		})
	})
}
