package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tasklane/tasks/taskstore"
)

// produce creates mails number first to last. Each has a key, so that it may be called again after an error that
// leaves open what was done, and creates nothing twice.
func produce(ctx context.Context, store *taskstore.Store, first, last int) error {
	var tasks []taskstore.NewTask
	for i := first; i <= last; i++ {
		argument, err := taskstore.EncodeArgument(mail{To: fmt.Sprintf("customer-%d@example.com", i), Subject: "Your order"})
		if err != nil {
			return err
		}
		n := int64(i)
		tasks = append(tasks, taskstore.NewTask{
			IntegrationID: n%10 + 1, UserID: n%1000 + 1, ClientID: n%50 + 1, AccountID: n%200 + 1, TemplateID: n%5 + 1,
			Argument: argument,
			Key:      key(i),
		})
	}
	for {
		_, err := store.CreateMany(ctx, tasks)
		if !errors.Is(err, taskstore.ErrUncertain) || ctx.Err() != nil {
			return err
		}
	}
}

// key is of mail number i.
func key(i int) string { return fmt.Sprintf("order-%d", i) }
