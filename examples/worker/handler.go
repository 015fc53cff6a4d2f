package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// mail is what this service's tasks carry.
type mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
}

// mailer writes mails into an outbox.
type mailer struct{ pool *pgxpool.Pool }

// handle does one task. The mail and the task's completion commit together, so that no mail is written twice, whatever
// happens to this process.
func (m mailer) handle(ctx context.Context, t taskstore.Task) error {
	letter, err := taskstore.DecodeArgument[mail](t)
	if err != nil {
		return taskwork.Permanent(err) // no later try can read it
	}
	if err := render(ctx); err != nil {
		return err // failed, with this reason, and tried again a little later
	}
	return pgx.BeginFunc(ctx, m.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO outbox (task_id, recipient, subject) VALUES ($1, $2, $3)`,
			t.ID, letter.To, letter.Subject)
		if err != nil {
			return err
		}
		return taskwork.Complete(ctx, tx)
	})
}

// render is the work itself: mostly a millisecond, one in fifty fails, and one in three hundred takes longer than the
// lease, which its worker renews meanwhile.
func render(ctx context.Context) error {
	takes := time.Millisecond
	switch rand.IntN(300) {
	case 0:
		takes = 3 * time.Second
	case 1, 2, 3, 4, 5, 6:
		return errors.New("the template server did not answer")
	}
	select {
	case <-time.After(takes):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// config has short times, so that there is something to see. In production leave SilentFor and Retry at their defaults.
func config() taskwork.Config {
	return taskwork.Config{
		Workers:   16,
		SilentFor: 2 * time.Second,
		Retry: func(failures int, _ error) (time.Duration, bool) {
			return 200 * time.Millisecond, failures < 10
		},
	}
}
