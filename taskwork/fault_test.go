package taskwork

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/taskstore"
)

func TestOutageEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(6)
		work := func(_ context.Context, task taskstore.Task) error {
			time.Sleep(time.Duration(task.ID) * time.Minute) // some end before, some in, some after the outage
			return nil
		}
		r := start(t, m, Config{SilentFor: 30 * time.Second}, work)
		other := start(t, m, Config{SilentFor: 30 * time.Second}, work)
		wait(90 * time.Second)
		m.set(func() { m.down = errDown })
		wait(2 * time.Minute) // four leases long
		m.set(func() { m.down = nil })
		wait(10 * time.Minute)
		if n := len(r.told(Started)) + len(other.told(Started)); n != 6 {
			t.Errorf("%d starts of 6 tasks", n)
		}
		for _, run := range []*rig{r, other} {
			run.want(t, Lost)
			run.want(t, Requeued)
			run.want(t, Away, "0: connection refused")
			run.want(t, Back, "0")
			run.finish(t)
		}
		for id := int64(1); id <= 6; id++ {
			r.wantStatus(t, id, taskstore.Completed)
		}
	})
}

// Ends that waited for the database go together when it is back.
func TestEndsOfAnOutageGoTogether(t *testing.T) {
	t.Parallel()
	for _, outage := range []error{errDown, errMute} {
		t.Run(outage.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const tasks = 200
				m := newMemory(tasks)
				r := start(t, m, Config{Workers: tasks}, sleep(5*time.Second))
				wait(time.Second)
				m.set(func() { m.down = outage })
				wait(10 * time.Minute)
				exchanges := 0
				m.set(func() {
					m.down = nil
					m.before = func(_ string, e taskstore.Ended) error {
						if len(e.Completed) > 0 {
							exchanges++
						}
						return nil
					}
				})
				wait(time.Minute)
				if n := len(r.told(Completed)); n != tasks || exchanges > 1 {
					t.Errorf("%d of %d tasks are completed, by %d exchanges", n, tasks, exchanges)
				}
				r.finish(t)
			})
		})
	}
}

// A worker requeues nothing before others, who may have been cut off as it was, had the time to renew their leases.
func TestTasksOfTheDeadAreRequeued(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(0)
		dead := func(id int64) { // somebody claimed it a while ago
			m.add(id, taskstore.Processing)
			m.rows[id].UpdatedAt = taskstore.MillisOf(time.Now().Add(-time.Hour))
		}
		dead(1)
		r := start(t, m, Config{SilentFor: 30 * time.Second}, nothing)
		wait(29 * time.Second)
		r.want(t, Requeued)
		wait(10 * time.Second)
		r.want(t, Requeued, "0")
		r.want(t, Completed, "1")

		m.set(func() { m.down = errDown })
		wait(time.Minute)
		m.set(func() {
			m.down = nil
			dead(2)
		})
		wait(29 * time.Second)
		r.want(t, Requeued, "0")
		wait(15 * time.Second)
		r.want(t, Requeued, "0", "0")
		r.want(t, Completed, "1", "2")
		r.finish(t)
	})
}

// A statement that the server cancels, for its statement_timeout or by an administrator, says nothing of its tasks.
func TestCancelledStatementEndsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		cancelled := &pgconn.PgError{Code: "57014", SeverityUnlocalized: "ERROR", Message: "canceling statement"}
		m.before = func(_ string, e taskstore.Ended) error {
			if len(e.Completed) > 0 {
				return cancelled
			}
			return nil
		}
		r := start(t, m, Config{}, sleep(time.Second))
		wait(20 * time.Second)
		m.set(func() { m.before = nil })
		wait(time.Minute)
		r.want(t, Failed)
		r.want(t, Lost)
		r.want(t, Away)
		if n := len(r.told(Completed)); n != 10 {
			t.Errorf("%d of 10 tasks are completed", n)
		}
		r.finish(t)
	})
}

// Claims fail for long, as beside a statement_timeout that is too short for them. What was claimed before is ended.
func TestFailingClaimsDelayNoEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(10)
		r := start(t, m, Config{Workers: 5}, sleep(time.Second))
		wait(500 * time.Millisecond)
		m.set(func() {
			m.claiming = &pgconn.PgError{Code: "57014", SeverityUnlocalized: "ERROR", Message: "canceling"}
		})
		wait(time.Minute)
		if n := len(r.told(Completed)); n != 5 {
			t.Errorf("%d of 5 tasks are completed", n)
		}
		m.set(func() { m.claiming = nil })
		wait(time.Minute)
		if n := len(r.told(Completed)); n != 10 {
			t.Errorf("%d of 10 tasks are completed", n)
		}
		r.want(t, Lost)
		r.finish(t)
	})
}

// Looking for failed tasks that are due fails for ever, as where somebody has dropped task_failures. Tasks of the dead
// come back all the same.
func TestFailingRetriesDelayNoRequeue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(0)
		m.add(1, taskstore.Processing) // by one who died
		m.before = func(call string, _ taskstore.Ended) error {
			if call == "retry" {
				return &pgconn.PgError{Code: "42P01", SeverityUnlocalized: "ERROR", Message: "no such table"}
			}
			return nil
		}
		r := start(t, m, Config{SilentFor: 30 * time.Second}, nothing)
		wait(time.Minute)
		r.want(t, Requeued, "0")
		r.want(t, Completed, "1")
		if len(r.told(Away)) == 0 {
			t.Error("nobody was told")
		}
		r.finish(t)
	})
}

// More tasks are due than one call retries, and Poll is long.
func TestManyRetriesAreDue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const due = 5*maxUpkeep + 1
		m := newMemory(0)
		for id := int64(1); id <= due; id++ {
			m.add(id, taskstore.Failed)
			m.failures[id] = taskstore.LastFailure{Count: 1, RetryAt: 1}
		}
		r := start(t, m, Config{Poll: time.Hour}, func(ctx context.Context, _ taskstore.Task) error {
			<-ctx.Done()
			return ctx.Err()
		})
		wait(10 * time.Second)
		m.set(func() {
			maps.DeleteFunc(m.failures, func(_ int64, f taskstore.LastFailure) bool { return f.RetryAt == 0 })
			if n := len(m.failures); n != 0 {
				t.Errorf("%d of %d tasks are not retried", n, due)
			}
		})
		r.finish(t)
	})
}

// One row that cannot be ended is no reason why others are not.
func TestOneRowDelaysNoOther(t *testing.T) {
	t.Parallel()
	refusal := &pgconn.PgError{Code: "P0001", SeverityUnlocalized: "ERROR", Message: "no"}
	has := func(e taskstore.Ended, id int64) bool {
		return slices.ContainsFunc(e.Completed, func(t taskstore.Task) bool { return t.ID == id })
	}
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(20)
			m.before = func(_ string, e taskstore.Ended) error {
				if has(e, 3) {
					return refusal
				}
				return nil
			}
			r := start(t, m, Config{Retry: func(int, error) (time.Duration, bool) { return 0, false }}, nothing)
			wait(time.Second)
			if n := len(r.told(Completed)); n != 19 {
				t.Errorf("%d tasks completed, want 19", n)
			}
			r.want(t, Failed, "3: the task's completion was refused: "+refusal.Error())
			r.want(t, Away)
			r.finish(t)
		})
	})
	// What the server says of an end that it does not take now, although the row is free, as beside a trigger that needs
	// another row, and a reason that cannot be stored since task_failures is gone.
	for _, code := range []string{"55P03", "57014", "42P01"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory(100)
				m.before = func(_ string, e taskstore.Ended) error {
					if has(e, 3) {
						return &pgconn.PgError{Code: code, SeverityUnlocalized: "ERROR", Message: "not now"}
					}
					return nil
				}
				r := start(t, m, Config{}, sleep(time.Second))
				wait(time.Minute)
				if n := len(r.told(Completed)); n != 99 {
					t.Errorf("%d tasks completed, want 99", n)
				}
				if n := len(r.told(Delayed)); n == 0 || n > 200 {
					t.Errorf("%d delays told", n)
				}
				m.set(func() { m.before = nil })
				wait(time.Minute)
				r.wantStatus(t, 3, taskstore.Completed)
				r.want(t, Lost)
				r.want(t, Failed)
				r.finish(t)
			})
		})
	}
	// Ends that are not taken for now are many. What ends later is recorded without waiting for them.
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			const stuck = 1000
			m := newMemory(stuck)
			m.before = func(_ string, e taskstore.Ended) error {
				if slices.ContainsFunc(e.Completed, func(t taskstore.Task) bool { return t.ID <= stuck }) {
					return &pgconn.PgError{Code: "42P01", SeverityUnlocalized: "ERROR", Message: "not now"}
				}
				return nil
			}
			r := start(t, m, Config{Workers: 100}, nothing)
			wait(time.Minute)
			for id := int64(stuck + 1); id <= stuck+10; id++ {
				m.create(id)
				wait(20 * time.Millisecond)
				r.wantStatus(t, id, taskstore.Completed)
				wait(time.Duration(id-stuck) * 100 * time.Millisecond) // another moment of the second
			}
			m.set(func() { m.before = nil })
			wait(time.Minute)
			if n := len(r.told(Completed)); n != stuck+10 {
				t.Errorf("%d of %d tasks are completed", n, stuck+10)
			}
			r.want(t, Lost)
			r.finish(t)
		})
	})
	t.Run("locked", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			m := newMemory(100)
			m.locked = 3
			r := start(t, m, Config{}, sleep(time.Second))
			wait(30 * time.Second)
			if n := len(r.told(Completed)); n < 89 {
				t.Errorf("%d tasks completed", n)
			}
			wait(time.Minute)
			if n := len(r.told(Completed)); n != 99 {
				t.Errorf("%d tasks completed, want 99", n)
			}
			m.set(func() { m.locked = 0 })
			wait(time.Minute)
			r.wantStatus(t, 3, taskstore.Completed)
			r.want(t, Lost)
			r.want(t, Away)
			if len(r.told(Delayed)) == 0 {
				t.Error("nobody was told of the delay")
			}
			r.finish(t)
		})
	})
}
