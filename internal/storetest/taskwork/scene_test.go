package taskwork

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// scene is a table of tasks, each of which is to have one effect, whatever happens.
type scene struct {
	*storetest.Bundle
	tasks int
}

// newScene creates as many tasks. Effects may be stored twice: a unique index would hide it.
func newScene(t *testing.T, b *storetest.Bundle, tasks int) *scene {
	t.Helper()
	b.Exec(t, `CREATE TABLE effects (task_id bigint)`)
	b.Exec(t, `GRANT ALL ON effects TO PUBLIC`)
	if storetest.OnCitus() { // which commits what it does not know of after the nodes, as a transaction of its own
		b.Exec(t, `SELECT citus_add_local_table_to_metadata('effects')`)
	}
	b.CreateMany(t, tasks)
	return &scene{b, tasks}
}

// config is that of a worker to whom things happen quickly.
func config() taskwork.Config {
	return taskwork.Config{
		Workers:   8,
		SilentFor: 2 * time.Second, // busy machines take their time
		Grace:     2 * time.Second,
		Retry:     func(int, error) (time.Duration, bool) { return 10 * time.Millisecond, true },
	}
}

// handler stores an effect and completes the task with it. Of twenty calls one fails, one panics, one takes longer
// than the lease, and one rolls back before it tries once more.
func handler(pool *pgxpool.Pool) taskwork.Handler {
	return func(ctx context.Context, task taskstore.Task) error {
		changesItsMind := false
		switch rand.IntN(20) {
		case 0:
			return errors.New("a passing fault")
		case 1:
			panic("a bug")
		case 2:
			select {
			case <-time.After(5 * config().SilentFor / 4):
			case <-ctx.Done():
				return ctx.Err()
			}
		case 3:
			changesItsMind = true
		}
		effect := func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `INSERT INTO effects VALUES ($1)`, task.ID); err != nil {
				return err
			}
			return taskwork.Complete(ctx, tx)
		}
		if changesItsMind {
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return errors.Join(effect(tx), errMind) })
			if !errors.Is(err, errMind) || ctx.Err() != nil {
				return err
			}
		}
		return pgx.BeginFunc(ctx, pool, effect)
	}
}

var errMind = errors.New("changed its mind")

// worker runs until the scene is over, or until it is stopped.
func (s *scene) worker(t *testing.T, pool *pgxpool.Pool, cfg taskwork.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := storetest.Start(func() error { return taskwork.Run(ctx, storetest.NewStore(pool), cfg, handler(pool)) })
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// until waits for a query of the test's own to be true.
func (s *scene) until(t *testing.T, what, sql string) {
	t.Helper()
	dbtest.Eventually(t, func() string {
		var ok bool
		err := s.Admin.QueryRow(t.Context(), sql).Scan(&ok)
		if err == nil && ok { // an error is part of the attack
			return ""
		}
		return fmt.Sprintf("%s of %d tasks, %v", what, s.tasks, err)
	})
}

// completed waits until that many tasks are completed, or all of them.
func (s *scene) completed(t *testing.T, tasks string) {
	t.Helper()
	s.until(t, tasks+" tasks completed", `SELECT count(*) >= `+tasks+` FROM tasks WHERE status = 2`)
}

// audit checks what is stored in the end.
func (s *scene) audit(t *testing.T) {
	t.Helper()
	s.until(t, "all completed", `SELECT NOT EXISTS (SELECT FROM tasks WHERE status <> 2)`)
	if n := storetest.One[int](t, s.Admin, `SELECT count(*) FROM tasks`); n != s.tasks {
		t.Errorf("%d tasks, want %d", n, s.tasks)
	}
	for what, sql := range map[string]string{
		"without effect": `SELECT count(*) FROM tasks WHERE id NOT IN (SELECT task_id FROM effects)`,
		"with several":   `SELECT count(*) FROM (SELECT FROM effects GROUP BY task_id HAVING count(*) > 1) AS twice`,
	} {
		if n := storetest.One[int](t, s.Admin, sql); n != 0 {
			t.Errorf("%d tasks %s", n, what)
		}
	}
}
