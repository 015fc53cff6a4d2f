package taskwork

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// watch counts events.
type watch struct {
	mu     sync.Mutex
	events []taskwork.Event
}

func newWatch(cfg *taskwork.Config) *watch {
	w := &watch{}
	cfg.Observe = func(e taskwork.Event) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.events = append(w.events, e)
	}
	return w
}

func (w *watch) of(k taskwork.Kind) []taskwork.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.events), func(e taskwork.Event) bool { return e.Kind != k })
}

func (w *watch) count(k taskwork.Kind) int { return len(w.of(k)) }

// runOne runs h over one task until it returned that often, and returns what was told.
func runOne(t *testing.T, s *scene, calls int, h taskwork.Handler) *watch {
	t.Helper()
	cfg := config()
	seen := newWatch(&cfg)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := taskwork.Run(ctx, s.Store, cfg, func(ctx context.Context, task taskstore.Task) error {
		if calls--; calls == 0 {
			defer stop()
		}
		return h(ctx, task)
	})
	if err != nil {
		t.Error(err)
	}
	return seen
}

// effect stores an effect of task in tx.
func effect(ctx context.Context, tx pgx.Tx, task taskstore.Task) error {
	_, err := tx.Exec(ctx, `INSERT INTO effects VALUES ($1)`, task.ID)
	return err
}

func TestCompleteAfterRollback(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 1)
	seen := runOne(t, s, 1, func(ctx context.Context, task taskstore.Task) error {
		tx, err := s.Pool.Begin(ctx)
		if err != nil {
			return err
		}
		err = errors.Join(effect(ctx, tx, task), taskwork.Complete(ctx, tx), tx.Rollback(ctx))
		if err != nil {
			return err
		}
		version := task.UpdatedAt // until a heartbeat has moved it
		for version == task.UpdatedAt {
			now, err := s.Store.Get(ctx, task.ID)
			if err != nil {
				return err
			}
			version = now.UpdatedAt
		}
		return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
			return errors.Join(effect(ctx, tx, task), taskwork.Complete(ctx, tx))
		})
	})
	s.audit(t)
	if seen.count(taskwork.Completed) != 1 || seen.count(taskwork.Lost)+seen.count(taskwork.Failed) != 0 {
		t.Errorf("told %+v", seen.events)
	}
}

func TestErrorAfterRollbackFailsTheTask(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 1)
	var id int64
	runOne(t, s, 1, func(ctx context.Context, task taskstore.Task) error {
		id = task.ID
		return taskwork.Permanent(pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
			return errors.Join(taskwork.Complete(ctx, tx), errors.New("changed its mind"))
		}))
	})
	if row := storetest.StoredTask(t, s.Admin, id); row.Status != taskstore.Failed {
		t.Errorf("stored %+v", row)
	}
	why, err := s.Store.Failures(t.Context(), id)
	if err != nil || why[id].Count != 1 || !strings.Contains(why[id].Reason, "changed its mind") || why[id].RetryAt != 0 {
		t.Errorf("stored failure %+v, %v", why[id], err)
	}
}

// The handler cannot know whether its commit was done, and returns an error. It was done.
func TestErrorAfterCommitFailsNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 1)
	seen := runOne(t, s, 1, func(ctx context.Context, task taskstore.Task) error {
		err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
			return errors.Join(effect(ctx, tx, task), taskwork.Complete(ctx, tx))
		})
		return errors.Join(err, errors.New("the answer to COMMIT was lost"))
	})
	s.audit(t)
	told := seen.of(taskwork.Completed)
	if len(told) != 1 || !told[0].Unsure || told[0].Err == nil {
		t.Errorf("told %+v", told)
	}
}

func TestCompleteOnALostLease(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 1)
	lost := false
	seen := runOne(t, s, 2, func(ctx context.Context, task taskstore.Task) error {
		if !lost {
			lost = true
			s.Exec(t, `UPDATE tasks SET status = 0 WHERE status = 1`)
			always := context.WithoutCancel(ctx) // a heartbeat may notice first
			err := pgx.BeginFunc(always, s.Pool, func(tx pgx.Tx) error {
				return errors.Join(effect(always, tx, task), taskwork.Complete(ctx, tx))
			})
			if !errors.Is(err, taskwork.ErrLeaseLost) {
				t.Errorf("Complete: %v", err)
			}
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), taskwork.ErrLeaseLost) {
				t.Errorf("the context ended by %v", context.Cause(ctx))
			}
			return err
		}
		return pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error {
			return errors.Join(effect(ctx, tx, task), taskwork.Complete(ctx, tx))
		})
	})
	s.audit(t)
	if seen.count(taskwork.Lost) != 1 || seen.count(taskwork.Failed) != 0 {
		t.Errorf("told %+v", seen.events)
	}
}

func TestCompleteOutsideAHandler(t *testing.T) {
	t.Parallel()
	if err := taskwork.Complete(t.Context(), nil); err == nil {
		t.Error("no error")
	}
}

func TestFromClaimsAndKeepsItsOwnOnly(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 4)
	stale := storetest.LongAgo.UnixMilli()
	b.Exec(t, `
		UPDATE tasks SET status = 1, updated_at = $1 WHERE id IN (SELECT id FROM tasks ORDER BY id LIMIT 2)`, stale)
	b.Exec(t, `UPDATE tasks SET status = 3 WHERE id IN (SELECT id FROM tasks ORDER BY id DESC LIMIT 2)`)
	b.Exec(t, `INSERT INTO task_failures SELECT id, 1, '', 1, 1 FROM tasks WHERE status = 3`)
	s := &scene{b, 4}
	mine := []int64{storetest.NewTask(0).TemplateID, storetest.NewTask(2).TemplateID}
	from, h := taskwork.Mux(map[int64]taskwork.Handler{
		mine[0]: func(context.Context, taskstore.Task) error { return nil },
		mine[1]: func(context.Context, taskstore.Task) error { return nil },
	})
	cfg := config()
	cfg.From = from
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := storetest.Start(func() error { return taskwork.Run(ctx, b.Store, cfg, h) })
	s.completed(t, "2")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for i, row := range storetest.Stored(t, b.Admin) {
		want := []taskstore.Status{taskstore.Completed, taskstore.Processing, taskstore.Completed, taskstore.Failed}[i]
		if row.Status != want {
			t.Errorf("task %d is %s, want %s", i, row.Status, want)
		}
	}
}

func TestFairWorker(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 300)
	cfg := config()
	cfg.Fair = true
	s.worker(t, s.Pool, cfg)
	s.audit(t)
}

func TestFromThatIsNoQueue(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	cfg := taskwork.Config{From: []taskstore.Filter{taskstore.ByUser(1)}}
	err := taskwork.Run(t.Context(), b.Store, cfg, func(context.Context, taskstore.Task) error { return nil })
	storetest.WantError(t, err, taskstore.ErrInvalid)
}

func TestArrival(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	batch := func(integration, client, template int64) taskstore.Filter {
		return taskstore.ByBatch(taskstore.Batch{IntegrationID: integration, ClientID: client, TemplateID: template})
	}
	waiting := make(map[string]<-chan struct{})
	for name, from := range map[string][]taskstore.Filter{
		"any":         {},
		"all":         {{}},
		"integration": {taskstore.ByIntegration(1), taskstore.ByIntegration(8)},
		"template":    {taskstore.ByTemplate(3)},
		"batch":       {batch(1, 2, 3)},
		"others":      {taskstore.ByIntegration(2), taskstore.ByTemplate(1), batch(1, 2, 2), batch(1, 3, 3), batch(2, 2, 3)},
	} {
		arrival, stop := b.Store.Arrival(from...)
		defer stop()
		waiting[name] = arrival
	}
	stopped, stop := b.Store.Arrival()
	stop()
	waiting["stopped"] = stopped
	told := func() (names []string) {
		for name, arrival := range waiting {
			select {
			case <-arrival:
				names = append(names, name)
			default:
			}
		}
		slices.Sort(names)
		return names
	}
	task := taskstore.NewTask{IntegrationID: 1, ClientID: 2, TemplateID: 3}
	selects := []string{"all", "any", "batch", "integration", "template"}
	everybody := []string{"all", "any", "batch", "integration", "others", "template"}
	create := func(s *taskstore.Store) error {
		_, err := s.Create(t.Context(), task)
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
		want []string
	}{
		{"Create", func() error { return create(b.Store) }, selects},
		{"CreateMany", func() error {
			_, err := b.Store.CreateMany(t.Context(), []taskstore.NewTask{task, {IntegrationID: 9}, task})
			return err
		}, selects},
		{"in a transaction", func() error {
			return pgx.BeginFunc(t.Context(), b.Pool, func(tx pgx.Tx) error { return create(b.Store.WithTx(tx)) })
		}, selects},
		{"Release", func() error { return b.Store.Release(t.Context(), storetest.Claim(t, b.Store, 1)...) }, everybody},
		{"nothing", func() error { return nil }, nil},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := told(); !slices.Equal(got, step.want) {
			t.Errorf("%s was told to %q, want %q", step.name, got, step.want)
		}
	}
}
