package race

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// each runs f until the race ends, at most once in each pause, so that these actors disturb the workers and do not
// starve them.
func (a *actor) each(pause time.Duration, f func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
			f()
		}
	}
}

// one notes the step of a call that concerns one task and whose only answer is an error or none.
func (c *call) one(task int64, s step, err error) error {
	s.outcome = tookPlace
	if err != nil {
		s.outcome = isUnknown
	}
	c.add(task, s)
	return err
}

// produce keeps some tasks pending.
func (a *actor) produce(s *taskstore.Store) {
	_, _ = a.do("produce", func(ctx context.Context, _ *call) error {
		backlog, err := s.Backlog(ctx)
		if err != nil || backlog.Pending >= 100 {
			return err
		}
		ts := make([]taskstore.NewTask, 50)
		for i := range ts {
			b := raceBatches[a.rng.IntN(len(raceBatches))]
			ts[i] = taskstore.NewTask{IntegrationID: b.IntegrationID, ClientID: b.ClientID, TemplateID: b.TemplateID}
		}
		ids, err := s.CreateMany(ctx, ts)
		a.created(ids)
		return err
	})
}

// requeue looks for leases that were silent for a few milliseconds.
func (a *actor) requeue(s *taskstore.Store) {
	limit := 1 + a.rng.IntN(30)
	_, _ = a.do(stepRequeue, func(ctx context.Context, c *call) error {
		c.silentFor = time.Duration(1+a.rng.IntN(40)) * time.Millisecond
		ids, err := s.RequeueStale(ctx, a.anyQueue(), c.silentFor, limit)
		if len(ids) > limit {
			a.t.Errorf("requeued %d tasks instead of %d", len(ids), limit)
		}
		c.partial = storetest.OnCitus() && len(ids) < limit // which goes on to other shards
		for _, id := range ids {
			c.add(id, step{kind: stepRequeue, outcome: tookPlace})
		}
		return err
	})
}

// retry puts back a task that failed, if it is still failed.
func (a *actor) retry(s *taskstore.Store) {
	failed, err := s.List(a.t.Context(), taskstore.ByStatus(taskstore.Failed), taskstore.Page{Limit: 20})
	if err != nil || len(failed) == 0 {
		return // its connection was killed, or none has failed
	}
	id := failed[a.rng.IntN(len(failed))].ID
	_, _ = a.do(stepRetry, func(ctx context.Context, c *call) error {
		n, err := s.Retry(ctx, id)
		if err == nil && n == 0 {
			c.add(id, step{kind: stepRetry, outcome: wasRefused})
			return nil
		}
		return c.one(id, step{kind: stepRetry}, err)
	})
}

// retryDue puts back what is due to be tried again.
func (a *actor) retryDue(s *taskstore.Store) {
	limit := 1 + a.rng.IntN(30)
	_, _ = a.do(callRetryDue, func(ctx context.Context, c *call) error {
		ids, err := s.RetryDue(ctx, a.anyQueue(), limit)
		if len(ids) > limit {
			a.t.Errorf("retried %d tasks instead of %d", len(ids), limit)
		}
		c.partial = storetest.OnCitus() && len(ids) < limit // which goes on to other shards
		for _, id := range ids {
			c.add(id, step{kind: stepRetry, outcome: tookPlace})
		}
		return err
	})
}

// read notes what the task is now.
func (a *actor) read(s *taskstore.Store, id int64) (task taskstore.Task, ok bool) {
	_, err := a.do(stepRead, func(ctx context.Context, c *call) (err error) {
		task, err = s.Get(ctx, id)
		if err == nil {
			c.add(id, step{kind: stepRead, to: task.Status, got: task.UpdatedAt, outcome: tookPlace})
		}
		return err
	})
	return task, err == nil
}

// edit changes another column by the store, which takes the lease of a task in processing.
func (a *actor) edit(s *taskstore.Store) {
	task, ok := a.read(s, a.anyTask())
	if !ok {
		return
	}
	_, _ = a.do(stepUpdate, func(ctx context.Context, c *call) error {
		updated, err := s.Update(ctx, task)
		change := step{kind: stepUpdate, version: task.UpdatedAt, got: updated.UpdatedAt}
		if errors.Is(err, taskstore.ErrConflict) {
			change.outcome = wasRefused
			c.add(task.ID, change)
			return err
		}
		return c.one(task.ID, change, err)
	})
}

// reset is an operator's UPDATE by hand: of the status and, in some cases, of updated_at, in seconds.
func (a *actor) reset(pool *pgxpool.Pool) {
	id, to := a.anyTask(), taskstore.Pending
	if a.oneIn(4) {
		to = taskstore.Status(a.rng.IntN(4))
	}
	sql := `UPDATE tasks SET status = $2 WHERE id = $1`
	if a.oneIn(2) {
		sql = `UPDATE tasks SET status = $2, updated_at = extract(epoch FROM now())::bigint WHERE id = $1`
	}
	kind := stepReset
	if to == taskstore.Processing {
		kind = stepSave // of a task in processing it is no reset
	}
	_, _ = a.do(kind, func(ctx context.Context, c *call) error {
		_, err := pool.Exec(ctx, sql, id, int32(to))
		return c.one(id, step{kind: kind, to: to}, err)
	})
}

// gorm is a program like the one in the table's document: it saves all columns of what it once read, and
// its times are in seconds, NULL or old.
type gorm struct {
	*actor
	store *taskstore.Store
	pool  *pgxpool.Pool
	stale []taskstore.Task
}

// badUpdatedAt is what it writes into updated_at, none of which raises the version.
func (g *gorm) badUpdatedAt(stale taskstore.Task) any {
	now := time.Now()
	bad := []any{
		now.Unix(), nil, int64(stale.UpdatedAt), int64(stale.UpdatedAt) - 1, now.UnixMicro(), int64(0), int64(-1),
	}
	return bad[g.rng.IntN(len(bad))]
}

func (g *gorm) write() {
	if len(g.stale) < 5 || g.oneIn(3) {
		if task, ok := g.read(g.store, g.anyTask()); ok {
			g.stale = append(g.stale, task)
		}
		return
	}
	i := g.rng.IntN(len(g.stale))
	task := g.stale[i]
	if g.oneIn(3) {
		_, _ = g.do(stepTouch, func(ctx context.Context, c *call) error {
			_, err := g.pool.Exec(ctx, `UPDATE tasks SET argument = 'touched', updated_at = $2 WHERE id = $1`,
				task.ID, g.badUpdatedAt(task))
			return c.one(task.ID, step{kind: stepTouch}, err)
		})
		return
	}
	g.stale[i] = g.stale[len(g.stale)-1]
	g.stale = g.stale[:len(g.stale)-1]
	created := []any{int64(task.CreatedAt), int64(task.CreatedAt) / 1000, nil}[g.rng.IntN(3)]
	_, _ = g.do(stepSave, func(ctx context.Context, c *call) error {
		_, err := g.pool.Exec(ctx, `
			UPDATE tasks SET integration_id = $2, user_id = $3, client_id = $4, account_id = $5, template_id = $6,
				argument = $7, status = $8, created_at = $9, updated_at = $10
			WHERE id = $1`,
			task.ID, task.IntegrationID, task.UserID, task.ClientID, task.AccountID, task.TemplateID,
			task.Argument, int32(task.Status), created, g.badUpdatedAt(task))
		return c.one(task.ID, step{kind: stepSave, to: task.Status}, err)
	})
}
