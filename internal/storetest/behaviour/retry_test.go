package behaviour

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// writes are the methods that write, each once.
var writes = map[string]func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error{
	"create task": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
		_, err := s.Create(ctx, storetest.NewTask(1))
		return err
	},
	"create 2 tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
		_, err := s.CreateMany(ctx, storetest.NewTasks(2))
		return err
	},
	"create 200 tasks": func(ctx context.Context, s *taskstore.Store, _ taskstore.Task) error {
		_, err := s.CreateMany(ctx, storetest.NewTasks(200))
		return err
	},
	"update task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		_, err := s.Update(ctx, task)
		return err
	},
	"set status of task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		_, err := s.SetStatus(ctx, task, taskstore.Failed)
		return err
	},
	"delete task 1": func(ctx context.Context, s *taskstore.Store, task taskstore.Task) error {
		return s.Delete(ctx, task.ID)
	},
}

var rowsAdded = map[string]int{"create task": 1, "create 2 tasks": 2, "create 200 tasks": 200, "delete task 1": -1}

// Deadlocks and serialization failures are another transaction's doing: outside a transaction the
// statement is sent again, and takes effect once.
func TestTransientFailuresAreRetried(t *testing.T) {
	t.Parallel()
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			for _, code := range []string{"40001", "40P01"} {
				b.Exec(t, `DROP TRIGGER IF EXISTS fail_write ON tasks`)
				b.Exec(t, `TRUNCATE tasks RESTART IDENTITY`)
				task := b.Create(t, 1)
				storetest.FailWrites(t, b, code, 3)
				if err := write(t.Context(), b.Store, task); err != nil {
					t.Errorf("%s: %v", code, err)
				}
				if n := storetest.Attempts(t, b); n != 4 {
					t.Errorf("%s: %d attempts, want 4", code, n)
				}
				if rows, want := len(storetest.Stored(t, b.Pool)), 1+rowsAdded[name]; rows != want {
					t.Errorf("%s: %d rows, want %d", code, rows, want)
				}
			}
		})
	}
}

// In a caller's transaction only the caller can start over, however it was begun.
func TestTransientFailuresAreTheCallersInATransaction(t *testing.T) {
	t.Parallel()
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			task := b.Create(t, 1)
			conn := b.Connection(t)
			lent := b.Single(t)["a pool's connection"]
			for code, isConflict := range map[string]bool{"40001": true, "40P01": false} {
				for _, how := range []string{"WithTx", "New", "BEGIN by hand", "BEGIN by hand, of a pool"} {
					storetest.FailWrites(t, b, code, 1)
					for _, db := range []taskstore.DB{conn, lent} {
						if _, err := db.Exec(t.Context(), `BEGIN`); err != nil {
							t.Fatal(err)
						}
					}
					s, tx := storetest.NewStore(conn), b.Begin(t, pgx.ReadCommitted)
					switch how {
					case "WithTx":
						s = b.Store.WithTx(tx)
					case "New":
						s = storetest.NewStore(tx)
					case "BEGIN by hand, of a pool":
						s = storetest.NewStore(lent)
					}
					err := write(t.Context(), s, task)
					if storetest.SQLState(err) != code || errors.Is(err, taskstore.ErrConflict) != isConflict {
						t.Errorf("%s, %s: error %v, want the server's, a conflict: %v", how, code, err, isConflict)
					}
					if n := storetest.Attempts(t, b); n != 1 {
						t.Errorf("%s, %s: %d attempts, want 1", how, code, n)
					}
					if err := tx.Rollback(t.Context()); err != nil {
						t.Fatal(err)
					}
					for _, db := range []taskstore.DB{conn, lent} {
						if _, err := db.Exec(t.Context(), `ROLLBACK`); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
		})
	}
}

// The retries end with the context, and the error says both why it stopped and why it retried.
func TestRetriesEndWithTheContext(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	task := b.Create(t, 1)
	storetest.FailWrites(t, b, "40P01", 1_000_000)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := storetest.Start(func() error { return b.Store.Delete(ctx, task.ID) })
	b.WaitFor(t, `SELECT last_value >= 3 FROM attempts`)
	cancel()
	storetest.WantError(t, <-done, context.Canceled)
	if got := storetest.StoredTask(t, b.Pool, task.ID); got != task {
		t.Errorf("stored %+v, want %+v", got, task)
	}
}

// A pool whose sessions are serializable by default is not a caller's transaction: a statement that loses a race is
// sent again. It then succeeds or finds the new version.
func TestSerializableSessionsAreRetried(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	pool := b.Connect(t, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_isolation"] = "serializable"
	})
	s := storetest.NewStore(pool)
	for name, change := range rowChanges {
		task := b.Create(t, 1)
		rival := b.Begin(t, pgx.ReadCommitted)
		current, err := b.Store.WithTx(rival).SetStatus(t.Context(), task, taskstore.Processing)
		if err != nil {
			t.Fatal(err)
		}
		done := storetest.Start(func() error { return change(t, s, task) })
		b.WaitForBlocked(t, 1)
		if err := rival.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		err = <-done
		if name == "Delete" {
			if err != nil || len(storetest.Stored(t, b.Pool)) != 0 {
				t.Errorf("Delete: %v, and %d rows", err, len(storetest.Stored(t, b.Pool)))
			}
			continue
		}
		storetest.WantError(t, err, taskstore.ErrConflict)
		if state := storetest.SQLState(err); state != "" {
			t.Errorf("%s was not run again: SQLSTATE %s", name, state)
		}
		if got := storetest.StoredTask(t, b.Pool, task.ID); got != current {
			t.Errorf("stored %+v, want %+v", got, current)
		}
		b.Exec(t, `DELETE FROM tasks`)
	}
}

// The Store logs each failure that it deals with by itself, without the task's argument.
func TestRetriesAreLogged(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	storetest.FailWrites(t, b, "40P01", 2)
	var log bytes.Buffer
	s := storetest.NewStore(b.Pool, taskstore.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
	if _, err := s.Create(t.Context(), taskstore.NewTask{Argument: "private"}); err != nil {
		t.Fatal(err)
	}
	for attempt := 1; attempt <= 2; attempt++ {
		var record struct {
			Level, SQLState string
			Attempt         int
		}
		line, err := log.ReadBytes('\n')
		if err != nil || bytes.Contains(line, []byte("private")) {
			t.Fatalf("logged %q, %v", line, err)
		}
		if err := json.Unmarshal(line, &record); err != nil {
			t.Fatal(err)
		}
		if record.Level != "WARN" || record.SQLState != "40P01" || record.Attempt != attempt {
			t.Errorf("attempt %d is logged as %s", attempt, line)
		}
	}
	if log.Len() > 0 {
		t.Errorf("and then %s", &log)
	}
}
