package work

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// workWrites are the methods of workers that write, each of which changes two rows, given two leases and
// two failed tasks.
var workWrites = map[string]func(
	ctx context.Context, s *taskstore.Store, leases []taskstore.Task, failed []int64,
) (int, error){
	"claim": func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task, _ []int64) (int, error) {
		ts, err := s.Claim(ctx, 2)
		return len(ts), err
	},
	"claim of a batch": func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task, _ []int64) (int, error) {
		ts, err := s.ClaimBy(ctx, taskstore.ByBatch(taskstore.Batch{IntegrationID: 1, ClientID: 3, TemplateID: 5}), 2)
		return len(ts), err
	},
	"heartbeat": func(ctx context.Context, s *taskstore.Store, leases []taskstore.Task, _ []int64) (int, error) {
		return 2, s.Heartbeat(ctx, leases)
	},
	"complete": func(ctx context.Context, s *taskstore.Store, leases []taskstore.Task, _ []int64) (int, error) {
		return 2, s.Complete(ctx, leases...)
	},
	"requeue": func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task, _ []int64) (int, error) {
		ids, err := storetest.Requeue(ctx, s, 10)
		return len(ids), err
	},
	"retry": func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task, failed []int64) (int, error) {
		n, err := s.Retry(ctx, failed...)
		return int(n), err
	},
	"delete": func(ctx context.Context, s *taskstore.Store, leases []taskstore.Task, _ []int64) (int, error) {
		n, err := s.DeleteFinished(ctx, (leases[0].CreatedAt + 1_000_000).Time(), 10)
		return int(n), err
	},
}

// Deadlocks and serialization failures are another transaction's doing: outside a transaction the
// statement is sent again and takes effect once; inside, the caller decides.
func TestTransientFailuresOfWorkAreRetried(t *testing.T) {
	t.Parallel()
	for name, write := range workWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			task := storetest.NewTask(0)
			if _, err := b.Store.CreateMany(t.Context(), []taskstore.NewTask{task, task, task, task}); err != nil {
				t.Fatal(err)
			}
			leases := storetest.Claim(t, b.Store, 2)
			failed := []int64{b.In(t, taskstore.Failed).ID, b.In(t, taskstore.Failed).ID}
			s := storetest.NewStore(b.Pool) // it has no mark yet

			for _, code := range []string{"40001", "40P01"} {
				storetest.FailWrites(t, b, code, 1)
				tx := b.Begin(t, pgx.ReadCommitted)
				_, err := write(t.Context(), s.WithTx(tx), leases, failed)
				if storetest.SQLState(err) != code || storetest.Attempts(t, b) != 1 {
					t.Errorf("in a transaction: %v after %d attempts, want %s after 1", err, storetest.Attempts(t, b), code)
				}
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}
			}

			storetest.FailWrites(t, b, "40P01", 3)
			if n, err := write(t.Context(), s, leases, failed); n != 2 || err != nil {
				t.Errorf("changed %d rows, %v; want 2", n, err)
			}
			if n := storetest.Attempts(t, b); n != 4 {
				t.Errorf("%d attempts, want 4", n)
			}
		})
	}
}

// A worker and another transaction lock two rows in opposite orders. The worker's statement is sent again.
func TestDeadlockIsRetried(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "the victim is chosen by a setting of the session, which the nodes do not have")
	b := storetest.Setup(t)
	b.CreateMany(t, 2)
	tasks := storetest.Claim(t, b.Store, 2)
	other := b.Begin(t, pgx.ReadCommitted)
	touch := func(id int64) error {
		_, err := other.Exec(t.Context(), `UPDATE tasks SET argument = 'touched' WHERE id = $1`, id)
		return err
	}
	// The victim is the worker.
	if _, err := other.Exec(t.Context(), `SET LOCAL ROLE NONE; SET LOCAL deadlock_timeout = '1h'`); err != nil {
		t.Fatal(err)
	}
	if err := touch(tasks[1].ID); err != nil {
		t.Fatal(err)
	}
	// The server looks for a deadlock once, a second after a wait has begun. So the worker's wait for the other comes
	// last: until both stand in line, a third transaction has the row that they meet at.
	gate := b.Begin(t, pgx.ReadCommitted)
	storetest.One[int64](t, gate, `SELECT id FROM tasks WHERE id = $1 FOR UPDATE`, tasks[0].ID)
	done := storetest.Start(func() error { return b.Store.Complete(t.Context(), tasks...) })
	b.WaitForBlocked(t, 1)
	touched := storetest.Start(func() error { return touch(tasks[0].ID) })
	b.WaitForBlocked(t, 2)
	if err := gate.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-touched; err != nil { // it waited for the worker, until the server ended the worker's statement
		t.Fatal(err)
	}
	if err := other.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, row := range storetest.Stored(t, b.Pool) {
		if row.Status != taskstore.Completed || row.Argument != "touched" {
			t.Errorf("stored %+v, want it touched and completed", row)
		}
	}
	b.WaitFor(t, `SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()`)
}

// Sessions that are serializable by default lose races to each other, which their callers do not see.
func TestSerializableSessionsClaim(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	pool := b.Connect(t, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	})
	b.CreateMany(t, 200)
	var done []<-chan error
	for range 4 {
		done = append(done, storetest.Start(func() error {
			s := storetest.NewStore(pool)
			for {
				ts, err := s.Claim(t.Context(), 5)
				if err != nil || len(ts) == 0 {
					return err
				}
				if err := s.Complete(t.Context(), ts...); err != nil {
					return err
				}
			}
		}))
	}
	for _, d := range done {
		if err := <-d; err != nil {
			t.Error(err)
		}
	}
	if n := storetest.One[int](t, b.Pool, `SELECT count(*) FROM tasks WHERE status = 2`); n != 200 {
		t.Errorf("%d tasks are completed, want 200", n)
	}
}
