package peer

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/dbgen"
	"github.com/tasklane/tasks/taskstore"
)

// newSQLC uses sqlc's output directly, without package taskstore.
func newSQLC(pool *pgxpool.Pool) Peer {
	q := dbgen.New(pool)
	claim := func(ctx context.Context, n int) ([]dbgen.Task, error) {
		return q.ClaimTasks(ctx, 1, math.MinInt64, []int64{}, int32(n))
	}
	return Peer{
		Name: "sqlc",
		Create: func(ctx context.Context, t taskstore.NewTask) error {
			_, err := q.CreateTask(ctx, dbgen.CreateTaskParams{
				IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID, AccountID: t.AccountID,
				TemplateID: t.TemplateID, Argument: t.Argument,
			})
			return err
		},
		CreateMany: func(ctx context.Context, ts []taskstore.NewTask) error {
			var p dbgen.CreateTasksParams
			for _, t := range ts {
				p.IntegrationIds = append(p.IntegrationIds, t.IntegrationID)
				p.UserIds = append(p.UserIds, t.UserID)
				p.ClientIds = append(p.ClientIds, t.ClientID)
				p.AccountIds = append(p.AccountIds, t.AccountID)
				p.TemplateIds = append(p.TemplateIds, t.TemplateID)
				p.Arguments = append(p.Arguments, t.Argument)
			}
			_, err := q.CreateTasks(ctx, p)
			return err
		},
		Get: func(ctx context.Context, id int64) (int64, error) {
			t, err := q.GetTask(ctx, id)
			return t.ID, err
		},
		List: func(ctx context.Context, integration int64, n int) (int, error) {
			if integration == 0 {
				ts, err := q.ListTasks(ctx, math.MaxInt64, int32(n))
				return len(ts), err
			}
			ts, err := q.ListTasksByIntegration(ctx, integration, math.MaxInt64, int32(n))
			return len(ts), err
		},
		Update: func(ctx context.Context, t *taskstore.Task) (err error) {
			*t, err = q.UpdateTask(ctx, dbgen.UpdateTaskParams{
				IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID, AccountID: t.AccountID,
				TemplateID: t.TemplateID, Argument: t.Argument, ID: t.ID, Version: int64(t.UpdatedAt),
			})
			return err
		},
		Claim: func(ctx context.Context, n int) (int, error) {
			ts, err := claim(ctx, n)
			return len(ts), err
		},
		Work: func(ctx context.Context, n int, beat bool) (int, error) {
			ts, err := claim(ctx, n)
			if err != nil || len(ts) == 0 {
				return 0, err
			}
			ids, versions := make([]int64, len(ts)), make([]int64, len(ts))
			for i, t := range ts {
				ids[i], versions[i] = t.ID, int64(t.UpdatedAt)
			}
			if beat {
				rows, err := q.HeartbeatTasks(ctx, ids, versions)
				if err != nil {
					return 0, err
				}
				for i, r := range rows {
					ids[i], versions[i] = r.ID, int64(r.UpdatedAt)
				}
			}
			done, err := q.FinishTasks(ctx, int32(taskstore.Completed), ids, versions)
			return len(done), err
		},
		Close: func() {}, // taskstore closes the pool
	}
}
