package race

import (
	"context"
	"slices"

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

// endLeases is how a worker ends leases: by the store's methods, or by worse ones.
type endLeases func(ctx context.Context, s *taskstore.Store, to taskstore.Status, tasks []taskstore.Task) error

func endByStore(ctx context.Context, s *taskstore.Store, to taskstore.Status, tasks []taskstore.Task) error {
	for _, f := range storetest.Finishes {
		if f.To == to {
			return f.End(s, ctx, tasks...)
		}
	}
	panic("no method leads to " + to.String())
}

// endByID ends tasks by id alone, as job queues often do: it does not ask who holds them.
func endByID(pool *pgxpool.Pool) endLeases {
	return func(ctx context.Context, _ *taskstore.Store, to taskstore.Status, tasks []taskstore.Task) error {
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

func (w *worker) run() {
	for w.running() {
		if len(w.stalled) > 0 && w.oneIn(3) {
			w.comeBack(1 + w.rng.IntN(len(w.stalled)))
			continue
		}
		tasks := w.claim()
		if w.oneIn(4) && len(w.stalled) < 100 {
			w.stalled = append(w.stalled, tasks...)
			continue
		}
		w.work(tasks)
	}
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
	w.work(late)
}

func (w *worker) claim() (tasks []taskstore.Task) {
	n := 1 + w.rng.IntN(w.most)
	_, _ = w.do(stepClaim, func(ctx context.Context, c *call) (err error) {
		if w.oneIn(3) {
			tasks, err = w.store.ClaimBy(ctx, taskstore.ByBatch(raceBatches[w.rng.IntN(len(raceBatches))]), n)
		} else {
			tasks, err = w.store.Claim(ctx, n)
		}
		if len(tasks) > n {
			w.t.Errorf("claimed %d tasks instead of %d", len(tasks), n)
		}
		for _, task := range tasks {
			if before, twice := c.steps[task.ID]; twice {
				w.t.Errorf("one claim returned task %d twice, at versions %d and %d", task.ID, before.got, task.UpdatedAt)
			}
			c.steps[task.ID] = step{kind: stepClaim, got: task.UpdatedAt, outcome: tookPlace}
		}
		c.fewer = len(tasks) < n
		return err
	})
	return tasks
}

// work keeps tasks alive for a while and ends their leases in parts.
func (w *worker) work(tasks []taskstore.Task) {
	for range w.rng.IntN(3) {
		tasks = w.heartbeat(tasks)
	}
	w.rng.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
	for len(tasks) > 0 {
		n := 1 + w.rng.IntN(len(tasks))
		w.finish(tasks[:n])
		tasks = tasks[n:]
	}
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
			s := c.steps[task.ID]
			s.got = task.UpdatedAt
			c.steps[task.ID] = s
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
		err := w.end(ctx, w.store, to, tasks)
		c.batch(tasks, step{kind: stepEnd, to: to}, err)
		return err
	})
	if (err != nil || c.broken) && w.oneIn(3) {
		w.finish(tasks)
	}
}
