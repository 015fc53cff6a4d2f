package gormtest

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// storeCreate, storeList and storeWork are the same service on taskstore and taskwork.
func storeCreate(ctx context.Context, store *taskstore.Store, argument string) error {
	_, err := store.Create(ctx, taskstore.NewTask{
		IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5, Argument: argument,
		Key: "import " + argument, // so that a create whose answer was lost may be repeated
	})
	return err
}

func storeList(ctx context.Context, store *taskstore.Store, integration int64) ([]taskstore.Task, error) {
	return store.List(ctx, taskstore.ByIntegration(integration), taskstore.Page{})
}

func storeWork(
	ctx context.Context, pool *pgxpool.Pool, effect func(context.Context, pgx.Tx, taskstore.Task) error,
) error {
	return taskwork.Run(ctx, taskstore.New(pool), taskwork.Config{}, func(ctx context.Context, t taskstore.Task) error {
		return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			if err := effect(ctx, tx, t); err != nil {
				return err
			}
			return taskwork.Complete(ctx, tx) // the effect and the completion commit together
		})
	})
}
