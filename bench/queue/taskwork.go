package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/tasklane/tasks/schema"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// Kinds of workers of ours.
const (
	howFair    = "fair"
	howEffects = "effects" // writes an effect of each task, and has a short lease
)

type ourPeer struct {
	pool  *pgxpool.Pool
	store *taskstore.Store
}

func newTaskwork(pool *pgxpool.Pool) *ourPeer { return &ourPeer{pool, taskstore.New(pool)} }

func (p *ourPeer) migrate(ctx context.Context) error { return migrateTasks(ctx, p.pool) }

func migrateTasks(ctx context.Context, pool *pgxpool.Pool) error {
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, schema.FS,
		goose.WithTableName("tasks_goose_version"), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// newTasks gives each payload to one of 49 integrations in turn.
func newTasks(payloads []string) []taskstore.NewTask {
	ts := make([]taskstore.NewTask, len(payloads))
	for i, payload := range payloads {
		n := int64(i)
		ts[i] = taskstore.NewTask{
			IntegrationID: n%49 + 1, UserID: n*7919%50_000 + 1, ClientID: n*31%1_000 + 1,
			AccountID: n*17%5_000 + 1, TemplateID: n%20 + 1, Argument: payload,
		}
	}
	return ts
}

func (p *ourPeer) enqueue(ctx context.Context, payloads []string) error {
	_, err := p.store.CreateMany(ctx, newTasks(payloads))
	return err
}

func (p *ourPeer) work(ctx context.Context, handlers int, how string, handle func(string)) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	config := taskwork.Config{Workers: handlers, Fair: how == howFair}
	var handler taskwork.Handler = func(_ context.Context, t taskstore.Task) error {
		handle(t.Argument)
		return nil
	}
	if how == howEffects {
		config.SilentFor, handler = 2*time.Second, p.effect
	}
	ended := make(chan error, 1)
	go func() { ended <- taskwork.Run(ctx, p.store, config, handler) }()
	return func() error {
		cancel()
		return <-ended
	}, nil
}

// effect writes an effect and completes the task with it.
func (p *ourPeer) effect(ctx context.Context, t taskstore.Task) error {
	return pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO effects (task_id) VALUES ($1)", t.ID); err != nil {
			return err
		}
		return taskwork.Complete(ctx, tx)
	})
}
