package race

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// unexplained reports whether a problem is the model's.
func unexplained(problems []string) bool {
	for _, p := range problems {
		if strings.HasPrefix(p, "no order of its calls explains") {
			return true
		}
	}
	return false
}

// The check finds a faulty worker. These complete a task by its id, as job queues often do, and so overwrite each
// other.
func TestRaceRejectsCompletionByID(t *testing.T) {
	t.Parallel()
	for round := range uint64(20) {
		r := newRace(t)
		r.run(round, endByID(r.pool("store", 4)), 300*time.Millisecond, anything)
		if unexplained(r.problems()) {
			return
		}
	}
	t.Error("twenty races with workers that complete by id alone have an explanation")
}

// The same in slow motion, one call after the other.
func TestRaceRejectsALateWorker(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(r *race) endLeases{
		"by the store": func(*race) endLeases { return endByStore },
		"by id":        func(r *race) endLeases { return endByID(r.pool("store", 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRace(t)
			store := storetest.NewStore(r.pool("store", 1))
			end := ends(r)
			late, next := worker{actor: r.actor(1), store: store, most: 1, end: end},
				worker{actor: r.actor(1), store: store, most: 1, end: end}
			if _, err := store.Create(t.Context(), taskstore.NewTask{IntegrationID: 1}); err != nil {
				t.Fatal(err)
			}
			tasks := claimOnly(t, late)
			_, _ = late.do(stepReset, func(ctx context.Context, c *call) error {
				return c.one(1, step{kind: stepReset}, r.resetByHand(ctx))
			})
			again := claimOnly(t, next)
			late.finish(tasks)
			next.finish(again)
			if problems, broken := r.problems(), name == "by id"; unexplained(problems) != broken {
				t.Errorf("problems: %v", problems)
			}
		})
	}
}

// A claim that reads what is pending and then takes it is rejected too.
func TestRaceRejectsAClaimInTwoSteps(t *testing.T) {
	t.Parallel()
	r := newRace(t)
	pool := r.pool("store", 2)
	if _, err := storetest.NewStore(pool).Create(t.Context(), taskstore.NewTask{}); err != nil {
		t.Fatal(err)
	}
	// Both look before either takes.
	pending := storetest.One[int64](t, pool, `SELECT id FROM tasks WHERE status = 0 ORDER BY id LIMIT 1`)
	for range 2 {
		_, _ = r.actor(1).do(stepClaim, func(ctx context.Context, c *call) error { return claimByID(ctx, pool, c, pending) })
	}
	if problems := r.problems(); !unexplained(problems) {
		t.Errorf("two workers hold one task, and the model explains it: %v", problems)
	}
}

func claimByID(ctx context.Context, pool *pgxpool.Pool, c *call, id int64) error {
	rows, err := pool.Query(ctx,
		`UPDATE tasks SET status = 1, updated_at = updated_at + 1 WHERE id = $1 RETURNING updated_at`, id)
	if err != nil {
		return err
	}
	version, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	c.add(id, step{kind: stepClaim, got: taskstore.Millis(version), outcome: tookPlace})
	return err
}

// claimOnly claims the only task there is.
func claimOnly(t *testing.T, w worker) []taskstore.Task {
	t.Helper()
	for {
		if tasks := w.claim(); len(tasks) == 1 {
			return tasks
		}
	}
}

// resetByHand puts the first task back.
func (r *race) resetByHand(ctx context.Context) error {
	_, err := r.b.Pool.Exec(ctx, `UPDATE tasks SET status = 0 WHERE id = 1`)
	return err
}
