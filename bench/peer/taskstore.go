package peer

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

func newTaskstore(pool *pgxpool.Pool, opts ...taskstore.Option) Peer {
	s := taskstore.New(pool, opts...)
	return Peer{
		Name: "taskstore",
		Create: func(ctx context.Context, t taskstore.NewTask) error {
			_, err := s.Create(ctx, t)
			return err
		},
		CreateMany: func(ctx context.Context, ts []taskstore.NewTask) error {
			_, err := s.CreateMany(ctx, ts)
			return err
		},
		Get: func(ctx context.Context, id int64) (int64, error) {
			t, err := s.Get(ctx, id)
			return t.ID, err
		},
		List: func(ctx context.Context, integration int64, n int) (int, error) {
			var f taskstore.Filter
			if integration != 0 {
				f = taskstore.ByIntegration(integration)
			}
			ts, err := s.List(ctx, f, taskstore.Page{Limit: n})
			return len(ts), err
		},
		Update: func(ctx context.Context, t *taskstore.Task) (err error) {
			*t, err = s.Update(ctx, *t)
			return err
		},
		Claim: func(ctx context.Context, n int) (int, error) {
			ts, err := s.Claim(ctx, n)
			return len(ts), err
		},
		Complete: func(ctx context.Context, t taskstore.Task) error { return s.Complete(ctx, t) },
		Work: func(ctx context.Context, n int, beat bool) (int, error) {
			ts, err := s.Claim(ctx, n)
			if err != nil || len(ts) == 0 {
				return 0, err
			}
			if beat {
				if err := s.Heartbeat(ctx, ts); err != nil {
					return 0, err
				}
			}
			return len(ts), s.Complete(ctx, ts...)
		},
		Close: pool.Close,
	}
}
