package behaviour

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// methods has each method that reaches the database, called so that it succeeds on task 1 of a fresh
// database if nothing is in its way. The keys are what the errors say of the operation.
func methods() map[string]func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
	all := map[string]func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error{
		"get task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
			_, err := s.Get(ctx, task.ID)
			return err
		},
		"list tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.List(ctx, taskstore.Filter{}, taskstore.Page{})
			return err
		},
		"list tasks: ": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) (last error) {
			for _, err := range s.All(ctx, taskstore.ByUser(12)) {
				last = errors.Join(last, err)
			}
			return last
		},
		"count tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.Count(ctx, taskstore.Filter{})
			return err
		},
		"count tasks by status": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.CountByStatus(ctx)
			return err
		},
		"claim": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.Claim(ctx, 1)
			return err
		},
		"claim: ": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.ClaimBy(ctx, taskstore.ByBatch(taskstore.Batch{}), 1)
			return err
		},
		"requeue stale tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.RequeueStale(ctx, taskstore.Filter{}, time.Hour, 1)
			return err
		},
		"retry 1 tasks": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
			_, err := s.Retry(ctx, task.ID)
			return err
		},
		"delete finished tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.DeleteFinished(ctx, storetest.Cutoff, 1)
			return err
		},
		"list stale tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.Stale(ctx, taskstore.Filter{}, time.Hour, 1)
			return err
		},
		"count finished tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, _, err := s.Finished(ctx, storetest.Cutoff, 1)
			return err
		},
		"count the backlog by integration and template": func(
			ctx context.Context, s *taskstore.Store, _ taskstore.Task,
		) error {
			_, err := s.BacklogShares(ctx, time.Hour)
			return err
		},
		"count the failures by reason": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.FailureReasons(ctx)
			return err
		},
		"read the backlog": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
			_, err := s.Backlog(ctx)
			return err
		},
	}
	maps.Copy(all, writes)
	return all
}

// leaseMethods need a task in processing.
var leaseMethods = map[string]func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error{
	"heartbeat of 1 tasks": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		return s.Heartbeat(ctx, []taskstore.Task{task})
	},
	"complete task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		return s.Complete(ctx, task)
	},
	"fail task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		return s.Fail(ctx, task)
	},
	"release task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		return s.Release(ctx, task)
	},
}

// checkCause fails the test unless err names the operation, has the cause, and is of no other kind.
func checkCause(t *testing.T, op string, err error, hasCause func(error) bool) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s succeeded", op)
		return
	case !hasCause(err):
		t.Errorf("%s: error %q hides its cause", op, err)
	case !strings.HasPrefix(err.Error(), "taskstore: "+op):
		t.Errorf("error %q does not say %q", err, op)
	}
	for _, kind := range []error{taskstore.ErrNotFound, taskstore.ErrConflict, taskstore.ErrInvalid} {
		if errors.Is(err, kind) {
			t.Errorf("%s: error %q is %q", op, err, kind)
		}
	}
}

func TestEveryErrorHasItsCause(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	task, lease := b.Create(t, 1), b.In(t, taskstore.Processing)
	lease.ID = task.ID // none of these calls gets as far as the row
	all := methods()
	maps.Copy(all, leaseMethods)

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	closed := b.Connect(t, func(*pgxpool.Config) {})
	closed.Close()
	poolIsClosed := closed.Ping(t.Context())
	conn := b.Connection(t)
	conn.Close(t.Context())
	connIsClosed := conn.Ping(t.Context())
	tableless := storetest.NewStore(b.Connect(t,
		func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["search_path"] = "pg_catalog" }))
	broken := b.Begin(t, pgx.ReadCommitted)
	if _, err := broken.Exec(t.Context(), `SELECT 1/0`); err == nil {
		t.Fatal("division by zero succeeded")
	}
	done := b.Begin(t, pgx.ReadCommitted)
	if err := done.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}

	for op, call := range all {
		is := func(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }
		state := func(code string) func(error) bool {
			return func(err error) bool { return storetest.SQLState(err) == code }
		}
		ctx := t.Context()
		checkCause(t, op, call(canceled, b.Store, lease), is(context.Canceled))
		checkCause(t, op, call(late, b.Store, lease), is(context.DeadlineExceeded))
		checkCause(t, op, call(ctx, storetest.NewStore(closed), lease), is(poolIsClosed))
		checkCause(t, op, call(ctx, storetest.NewStore(conn), lease),
			func(err error) bool { return strings.Contains(err.Error(), connIsClosed.Error()) })
		checkCause(t, op, call(ctx, tableless, lease), state("42P01"))
		checkCause(t, op, call(ctx, b.Store.WithTx(broken), lease), state("25P02"))
		checkCause(t, op, call(ctx, b.Store.WithTx(done), lease), is(pgx.ErrTxClosed))
	}
	if rows := storetest.Stored(t, b.Pool); len(rows) != 2 || rows[0] != task {
		t.Errorf("failed calls left %+v", rows)
	}
}

// In a session that may only read, writes fail and say why, and reads work.
func TestReadOnlySession(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "the session is read-only on the coordinator, and not on the nodes")
	b := storetest.Setup(t)
	task := b.Create(t, 1)
	b.History(t, 1, taskstore.Completed, storetest.LongAgo) // without it DeleteFinished has nothing to write
	s := storetest.NewStore(b.Connect(t, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	}))
	reads := []string{"get task 1", "list tasks", "list tasks: ", "count tasks", "count tasks by status",
		"read the backlog", "count the backlog by integration and template", "count the failures by reason",
		"list stale tasks", "count finished tasks"}
	for op, call := range methods() {
		err := call(t.Context(), s, task)
		if !slices.Contains(reads, op) {
			checkCause(t, op, err, func(err error) bool { return storetest.SQLState(err) == "25006" })
		} else if err != nil {
			t.Errorf("%s: %v", op, err)
		}
	}
}

// A Store that was told of Citus where it is not says what to do.
func TestWithCitusOnOneServer(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "it needs a table that is not distributed")
	b := storetest.Setup(t)
	s := taskstore.New(b.Pool, taskstore.WithCitus())
	if _, err := s.Claim(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "schema/citus.sql") {
		t.Errorf("error is %v", err)
	}
}

// If a connection dies during a call, the call returns an error with the cause, and the pool goes on with another
// connection.
func TestTerminatedConnection(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "a statement that waits on a node goes on when its session on the coordinator is ended")
	b := storetest.Setup(t)
	pool := b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := storetest.NewStore(pool)
	for op, call := range rowChanges {
		task := b.Create(t, 1)
		tx := b.Begin(t, pgx.ReadCommitted)
		if _, err := tx.Exec(t.Context(), `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, task.ID); err != nil {
			t.Fatal(err)
		}
		done := storetest.Start(func() error { return call(t, s, task) })
		// Found and ended by one look: a session that waits is awake for a moment now and then.
		b.WaitFor(t, `SELECT count(pg_terminate_backend(pid)) > 0 FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		if err := <-done; storetest.SQLState(err) != "57P01" {
			t.Errorf("%s: error %v, want the server's 57P01", op, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if row := storetest.StoredTask(t, b.Pool, task.ID); row != task {
			t.Errorf("%s left %+v, want %+v", op, row, task)
		}
		if err := call(t, s, task); err != nil {
			t.Errorf("%s after that: %v", op, err)
		}
	}
}

// A call that waits for a row lock ends with its context, and changes nothing.
func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for op, call := range writes {
		if strings.HasPrefix(op, "create") {
			continue // waits for no row
		}
		b.Exec(t, `TRUNCATE tasks RESTART IDENTITY`)
		task := b.Create(t, 1)
		tx := b.Begin(t, pgx.ReadCommitted)
		if _, err := tx.Exec(t.Context(), `SELECT FROM tasks FOR UPDATE`); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := storetest.Start(func() error { return call(ctx, b.Store, task) })
		b.WaitForBlocked(t, 1)
		cancel()
		checkCause(t, op, <-done, func(err error) bool { return errors.Is(err, context.Canceled) })
		// Not until it waits no more: a session that waits is awake for a moment now and then.
		b.WaitFor(t, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND backend_type = 'client backend' AND state = 'active'
				AND pid <> pg_backend_pid())`)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if row := storetest.StoredTask(t, b.Pool, task.ID); row != task {
			t.Errorf("%s left %+v, want %+v", op, row, task)
		}
	}
}

// What a constraint, a trigger or the server's limits refuse is invalid input; what else can go wrong
// is not.
func TestWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	invalid := map[string]bool{
		"22003": true, "22021": true, "22P02": true, "23502": true, "23514": true, "54000": true,
		"23503": false, "23505": false, "42501": false, "53100": false, "57014": false, "P0001": false,
	}
	for op, write := range writes {
		t.Run(op, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			task := b.Create(t, 1)
			for code, want := range invalid {
				storetest.FailWrites(t, b, code, 1)
				err := write(t.Context(), b.Store, task)
				if storetest.SQLState(err) != code || errors.Is(err, taskstore.ErrInvalid) != want {
					t.Errorf("%s: error %v, want one that is ErrInvalid: %v", code, err, want)
				}
				if got := storetest.Stored(t, b.Pool); !slices.Equal(got, []taskstore.Task{task}) {
					t.Fatalf("%s: stored %+v, want %+v", code, got, task)
				}
			}
		})
	}
}

// A CHECK of the database's owner is part of what is valid.
func TestCheckViolationIsInvalid(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	task := b.Create(t, 0)
	b.Exec(t, `ALTER TABLE tasks ADD CONSTRAINT house_rule CHECK (user_id < 10 AND status <> 3)`)
	bad := task
	bad.UserID = 10
	_, update := b.Store.Update(t.Context(), bad)
	_, setStatus := b.Store.SetStatus(t.Context(), task, taskstore.Failed)
	_, create := b.Store.Create(t.Context(), storetest.NewTask(1))
	_, insert := b.Store.CreateMany(t.Context(), storetest.NewTasks(2))
	_, copied := b.Store.CreateMany(t.Context(), storetest.NewTasks(500))
	for i, err := range []error{update, setStatus, create, insert, copied} {
		storetest.WantError(t, err, taskstore.ErrInvalid)
		if storetest.SQLState(err) != "23514" || !strings.Contains(fmt.Sprint(err), "house_rule") {
			t.Errorf("error %d is %v, want one that names the constraint", i, err)
		}
	}
	if got := storetest.Stored(t, b.Pool); !slices.Equal(got, []taskstore.Task{task}) {
		t.Errorf("stored %+v, want %+v", got, task)
	}
}
