package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// argument is what this service's tasks carry.
type argument struct {
	Project string `json:"project"`
	Status  string `json:"status"`
}

// newTask returns the i-th task. The tasks are spread over ten integrations, a thousand users, and so on.
func newTask(i int) (taskstore.NewTask, error) {
	arg, err := taskstore.EncodeArgument(argument{Project: fmt.Sprintf("project_%d", i%7), Status: "offline"})
	n := int64(i)
	return taskstore.NewTask{
		IntegrationID: n%10 + 1, UserID: n%1000 + 1, ClientID: n%50 + 1, AccountID: n%200 + 1, TemplateID: n%5 + 1,
		Argument: arg,
	}, err
}

func newTasks(from, n int) ([]taskstore.NewTask, error) {
	ts := make([]taskstore.NewTask, n)
	for i := range ts {
		var err error
		if ts[i], err = newTask(from + i); err != nil {
			return nil, err
		}
	}
	return ts, nil
}

// step runs one part of the tour and prints what it did and how long it took.
func step(name string, f func() (result string, err error)) error {
	start := time.Now()
	result, err := f()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	fmt.Printf("  %-34s %-52s %7.1f ms\n", name, result, float64(time.Since(start).Microseconds())/1000)
	return nil
}

// tour shows what the store can do. It needs an empty table and leaves it empty.
func tour(ctx context.Context, pool *pgxpool.Pool, store *taskstore.Store) error {
	const single, bulk, writers = 2_000, 30_000, 16
	fmt.Println("What the store does")
	var one taskstore.Task
	batch := taskstore.Batch{IntegrationID: 1, ClientID: 1, TemplateID: 1}
	steps := []struct {
		name string
		do   func() (string, error)
	}{
		{"Create, one", func() (_ string, err error) {
			t, err := newTask(0)
			if err != nil {
				return "", err
			}
			one, err = store.Create(ctx, t)
			return fmt.Sprintf("task %d, %s, %s", one.ID, one.Status, one.Argument), err
		}},
		{"Create, by 16 goroutines", func() (string, error) {
			return fmt.Sprintf("%d tasks", single), createSingly(ctx, store, single, writers)
		}},
		{"CreateMany", func() (string, error) {
			ts, err := newTasks(single, bulk)
			if err != nil {
				return "", err
			}
			ids, err := store.CreateMany(ctx, ts)
			return fmt.Sprintf("%d tasks in one statement, ids in input order", len(ids)), err
		}},
		{"List by each index", func() (string, error) {
			filters := []taskstore.Filter{
				taskstore.ByIntegration(3), taskstore.ByUser(42), taskstore.ByClient(7), taskstore.ByAccount(11),
				taskstore.ByTemplate(2), taskstore.ByStatus(taskstore.Pending), taskstore.ByBatch(batch),
			}
			rows := 0
			for _, f := range filters {
				page, err := store.List(ctx, f, taskstore.Page{})
				if err != nil {
					return "", err
				}
				rows += len(page)
			}
			return fmt.Sprintf("%d filters, %d tasks, newest first", len(filters), rows), nil
		}},
		{"All, page by page", func() (string, error) {
			n := 0
			for _, err := range store.All(ctx, taskstore.ByIntegration(1)) {
				if err != nil {
					return "", err
				}
				n++
			}
			return fmt.Sprintf("%d tasks of integration 1", n), nil
		}},
		{"Count, CountByStatus", func() (string, error) {
			n, err := store.Count(ctx, taskstore.ByBatch(batch).WithStatus(taskstore.Pending))
			if err != nil {
				return "", err
			}
			counts, err := store.CountByStatus(ctx)
			return fmt.Sprintf("%d pending in a batch, %d in all", n, counts[taskstore.Pending]), err
		}},
		{"Update, then with a stale version", func() (string, error) {
			stale := one
			one.Argument = `{"project":"renamed"}`
			var err error
			if one, err = store.Update(ctx, one); err != nil {
				return "", err
			}
			_, err = store.Update(ctx, stale)
			if !errors.Is(err, taskstore.ErrConflict) {
				return "", fmt.Errorf("a stale update was not refused: %w", err)
			}
			return "the second is ErrConflict", nil
		}},
		{"SetStatus, Delete", func() (string, error) {
			t, err := store.SetStatus(ctx, one, taskstore.Completed)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("task %d %s, then deleted", t.ID, t.Status), store.Delete(ctx, t.ID)
		}},
		{"WithTx", func() (string, error) {
			ts, err := newTasks(0, 10)
			if err != nil {
				return "", err
			}
			err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				ids, err := store.WithTx(tx).CreateMany(ctx, ts)
				if err != nil {
					return err
				}
				return store.WithTx(tx).Delete(ctx, ids[0])
			})
			return "ten created and one deleted in one transaction", err
		}},
		{"Claim, Heartbeat, Complete", func() (string, error) {
			n := 0
			for {
				tasks, err := store.Claim(ctx, 1000)
				if err != nil || len(tasks) == 0 {
					return fmt.Sprintf("%d tasks through their whole life", n), err
				}
				if err := store.Heartbeat(ctx, tasks); err != nil {
					return "", err
				}
				if err := store.Complete(ctx, tasks...); err != nil {
					return "", err
				}
				n += len(tasks)
			}
		}},
		{"DeleteFinished", func() (string, error) {
			n, err := store.DeleteFinished(ctx, time.Now().Add(time.Minute), 1_000_000)
			return fmt.Sprintf("%d tasks, in short transactions", n), err
		}},
	}
	for _, s := range steps {
		if err := step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

func createSingly(ctx context.Context, store *taskstore.Store, n, goroutines int) error {
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n && errs[g] == nil; i += goroutines {
				var t taskstore.NewTask
				if t, errs[g] = newTask(i); errs[g] == nil {
					_, errs[g] = store.Create(ctx, t)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
