package race

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// worker claims, keeps alive and ends tasks, well or badly.
type worker struct {
	*actor
	store   *taskstore.Store
	most    int              // tasks a claim
	stalled []taskstore.Task // it will come back to these too late
	end     endLeases
}

// endLeases is how a worker ends leases: by the store's methods, or by worse ones. why has the tasks once more if they
// are to fail with a reason.
type endLeases func(ctx context.Context, s *taskstore.Store, to taskstore.Status, tasks []taskstore.Task,
	why []taskstore.Failure) error

func endByStore(ctx context.Context, s *taskstore.Store, to taskstore.Status, tasks []taskstore.Task,
	why []taskstore.Failure) error {
	if len(why) > 0 {
		return s.FailWith(ctx, why...)
	}
	for _, f := range storetest.Finishes {
		if f.To == to {
			return f.End(s, ctx, tasks...)
		}
	}
	panic("no method leads to " + to.String())
}

// endByID ends tasks by id alone, as job queues often do: it does not ask who holds them.
func endByID(pool *pgxpool.Pool) endLeases {
	return func(ctx context.Context, _ *taskstore.Store, to taskstore.Status, tasks []taskstore.Task,
		_ []taskstore.Failure) error {
		for {
			_, err := pool.Exec(ctx, `
				UPDATE tasks SET status = $2,
					updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
				WHERE id = ANY ($1)`, storetest.IDs(tasks), int32(to))
			if storetest.SQLState(err) != "40P01" { // a deadlock, after which nothing was done
				return err
			}
		}
	}
}

// The batches that the race's tasks belong to.
var raceBatches = []taskstore.Batch{
	{IntegrationID: 1, ClientID: 1, TemplateID: 1},
	{IntegrationID: 1, ClientID: 1, TemplateID: 2},
	{IntegrationID: 2, ClientID: 1, TemplateID: 1},
}

// anyQueue returns a queue at random, often that of all tasks.
func (a *actor) anyQueue() taskstore.Filter {
	b := raceBatches[a.rng.IntN(len(raceBatches))]
	return []taskstore.Filter{
		{}, {}, taskstore.ByBatch(b), taskstore.ByIntegration(b.IntegrationID), taskstore.ByTemplate(b.TemplateID),
	}[a.rng.IntN(5)]
}

func (w *worker) run() {
	var tasks []taskstore.Task
	for w.running() {
		if len(w.stalled) > 0 && w.oneIn(3) {
			w.comeBack(1 + w.rng.IntN(len(w.stalled)))
			continue
		}
		if len(tasks) == 0 {
			tasks = w.claim()
		}
		if w.oneIn(4) && len(w.stalled) < 100 {
			w.stalled, tasks = append(w.stalled, tasks...), nil
			continue
		}
		tasks = w.work(tasks)
	}
	w.stalled = append(w.stalled, tasks...)
	for len(w.stalled) > 0 {
		w.comeBack(len(w.stalled))
	}
}

// comeBack goes on with the first n tasks that it abandoned. It may hold two leases of one task, because it has
// claimed it again meanwhile. The later lease stays for another time: a call's history has one step a task.
func (w *worker) comeBack(n int) {
	var late []taskstore.Task
	seen := map[int64]bool{}
	w.stalled = slices.DeleteFunc(w.stalled, func(task taskstore.Task) bool {
		if len(late) == n || seen[task.ID] {
			return false
		}
		seen[task.ID] = true
		late = append(late, task)
		return true
	})
	w.stalled = append(w.stalled, w.work(late)...)
}

func (w *worker) claim() (tasks []taskstore.Task) {
	n := 1 + w.rng.IntN(w.most)
	_, _ = w.do(stepClaim, func(ctx context.Context, c *call) (err error) {
		fair := w.oneIn(4)
		if fair {
			tasks, err = w.store.ClaimFair(ctx, n)
		} else {
			tasks, err = w.store.ClaimBy(ctx, w.anyQueue(), n)
		}
		w.claimed(c, tasks, n)
		c.partial = c.partial || fair // which goes on to other integrations
		return err
	})
	return tasks
}

// claimed notes what a call that asked for n tasks has claimed.
func (w *worker) claimed(c *call, tasks []taskstore.Task, n int) {
	if len(tasks) > n {
		w.t.Errorf("claimed %d tasks instead of %d", len(tasks), n)
	}
	seen := map[int64]bool{}
	for _, task := range tasks {
		if seen[task.ID] {
			w.t.Errorf("one claim returned task %d twice: %+v", task.ID, tasks)
		}
		seen[task.ID] = true
		c.add(task.ID, step{kind: stepClaim, got: task.UpdatedAt, outcome: tookPlace})
	}
	c.partial = len(tasks) < n
}

// work keeps tasks alive for a while and ends their leases in parts. The last of them it may exchange for other tasks.
func (w *worker) work(tasks []taskstore.Task) []taskstore.Task {
	for range w.rng.IntN(3) {
		tasks = w.heartbeat(tasks)
	}
	w.rng.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
	for len(tasks) > 0 {
		n := 1 + w.rng.IntN(len(tasks))
		if n == len(tasks) && w.oneIn(2) {
			return w.exchange(tasks)
		}
		w.finish(tasks[:n])
		tasks = tasks[n:]
	}
	return nil
}

// heartbeat returns the tasks that the worker goes on with. Sometimes it goes on with tasks although it was told that
// their leases are lost.
func (w *worker) heartbeat(tasks []taskstore.Task) []taskstore.Task {
	if len(tasks) == 0 {
		return nil
	}
	presented := slices.Clone(tasks)
	var lost []taskstore.Task
	_, _ = w.do(stepHeartbeat, func(ctx context.Context, c *call) error {
		err := w.store.Heartbeat(ctx, tasks)
		lost = c.batch(presented, step{kind: stepHeartbeat}, err)
		for _, task := range tasks {
			s := &c.steps[task.ID][0]
			if s.got = task.UpdatedAt; s.got != s.version { // also where the look at the others broke
				s.outcome = tookPlace
			}
		}
		return err
	})
	if w.oneIn(4) {
		return tasks
	}
	return slices.DeleteFunc(tasks, func(task taskstore.Task) bool { return slices.Contains(lost, task) })
}

// finish ends leases. Sometimes it tries again after it was told that they are lost, or was told nothing.
func (w *worker) finish(tasks []taskstore.Task) {
	to := []taskstore.Status{taskstore.Completed, taskstore.Completed, taskstore.Failed, taskstore.Pending}[w.rng.IntN(4)]
	c, err := w.do(stepEnd, func(ctx context.Context, c *call) error {
		var why []taskstore.Failure
		if to == taskstore.Failed && w.oneIn(2) {
			why = w.failures(c, tasks)
		}
		err := w.end(ctx, w.store, to, tasks, why)
		c.batch(tasks, step{kind: stepEnd, to: to}, err)
		return err
	})
	if (err != nil || c.broken) && w.oneIn(3) {
		w.finish(tasks)
	}
}

// failures are tasks with the reason why the call is to fail them.
func (w *worker) failures(c *call, tasks []taskstore.Task) (why []taskstore.Failure) {
	c.retryIn = map[int64]time.Duration{}
	for _, task := range tasks {
		c.retryIn[task.ID] = time.Duration(w.rng.IntN(3)) * 10 * time.Millisecond
		why = append(why, taskstore.Failure{Task: task, Reason: c.reason(), RetryIn: c.retryIn[task.ID]})
	}
	return why
}

// exchange ends the leases of tasks in one way or another, and claims others.
func (w *worker) exchange(tasks []taskstore.Task) (next []taskstore.Task) {
	n := w.rng.IntN(w.most + 1)
	if !w.running() {
		n = 0
	}
	_, _ = w.do(callExchange, func(ctx context.Context, c *call) error {
		to := map[taskstore.Status][]taskstore.Task{}
		for _, task := range tasks {
			st := []taskstore.Status{taskstore.Completed, taskstore.Failed, taskstore.Pending}[w.rng.IntN(3)]
			to[st] = append(to[st], task)
		}
		ended := taskstore.Ended{
			Completed: to[taskstore.Completed], Released: to[taskstore.Pending], Failed: w.failures(c, to[taskstore.Failed]),
		}
		var err error
		next, err = w.store.Exchange(ctx, ended, w.anyQueue(), n)
		for st, tasks := range to {
			c.batch(tasks, step{kind: stepEnd, to: st}, err)
		}
		w.claimed(c, next, n)
		return err
	})
	return next
}
