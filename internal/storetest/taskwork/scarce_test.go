package taskwork

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// Handlers and the worker share connections that are fewer than handlers.
func TestFewConnections(t *testing.T) {
	t.Parallel()
	for _, conns := range []int32{1, 2} {
		t.Run(strconv.Itoa(int(conns)), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, storetest.Setup(t), 200)
			pool := s.Connect(t, func(c *pgxpool.Config) { c.MaxConns = conns })
			s.worker(t, pool, config())
			s.audit(t)
		})
	}
}

// Somebody moves task_failures away for a while. What succeeds is recorded all the same; what fails, when it is back.
func TestFailuresTableIsGone(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 300)
	s.worker(t, s.Pool, config())
	s.worker(t, s.Pool, config())
	s.completed(t, "50")
	s.Exec(t, `ALTER TABLE task_failures RENAME TO away`)
	s.completed(t, "100")
	s.Exec(t, `ALTER TABLE away RENAME TO task_failures`)
	s.audit(t)
}

// Somebody has locked all rows when the worker stops. It does not wait for long, and says what it leaves.
func TestStopWhileAllIsLocked(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "it locks rows of all shards, which Citus refuses")
	s := newScene(t, storetest.Setup(t), 8)
	cfg := config()
	seen := newWatch(&cfg)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	locked := make(chan struct{})
	done := storetest.Start(func() error {
		return taskwork.Run(ctx, s.Store, cfg, func(context.Context, taskstore.Task) error {
			<-locked
			return nil
		})
	})
	s.until(t, "all claimed", `SELECT count(*) = 8 FROM tasks WHERE status = 1`)
	tx, err := s.Admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM tasks FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	close(locked)
	stop()
	if err := <-done; err == nil || !strings.Contains(err.Error(), "8 tasks") {
		t.Errorf("Run returned %v", err)
	}
	if seen.count(taskwork.Delayed) == 0 {
		t.Errorf("told %+v", seen.events)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.worker(t, s.Pool, config())
	s.completed(t, "8")
}
