package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

// Claim claims n tasks, all of them there.
func Claim(t *testing.T, s *taskstore.Store, n int) []taskstore.Task {
	t.Helper()
	ts, err := s.Claim(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != n {
		t.Fatalf("claimed %d tasks, want %d", len(ts), n)
	}
	return ts
}

// WantConflict fails the test unless err names exactly these tasks.
func WantConflict(t *testing.T, err error, ids ...int64) {
	t.Helper()
	var conflict *taskstore.ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("error is %v, want a ConflictError of tasks %v", err, ids)
		return
	}
	WantError(t, err, taskstore.ErrConflict)
	WantIDs(t, "conflict", conflict.IDs, ids...)
}

// Moved returns task as the store must have stored it after a change to that status. row is what is stored:
// its version must be a later one, whatever its value.
func Moved(t *testing.T, task, row taskstore.Task, to taskstore.Status) taskstore.Task {
	t.Helper()
	if row.UpdatedAt <= task.UpdatedAt {
		t.Errorf("task %d: version %d follows %d", task.ID, row.UpdatedAt, task.UpdatedAt)
	}
	task.Status, task.UpdatedAt = to, row.UpdatedAt
	return task
}

// Finish is one of the methods that end a lease, and the status that it leads to.
type Finish struct {
	End func(s *taskstore.Store, ctx context.Context, tasks ...taskstore.Task) error
	To  taskstore.Status
}

// Finishes are the methods that end a lease, by name.
var Finishes = map[string]Finish{
	"complete": {(*taskstore.Store).Complete, taskstore.Completed},
	"fail":     {(*taskstore.Store).Fail, taskstore.Failed},
	"release":  {(*taskstore.Store).Release, taskstore.Pending},
}

// ClaimBatch claims n tasks of a batch, all of them there.
func ClaimBatch(t *testing.T, s *taskstore.Store, batch taskstore.Batch, n int) []taskstore.Task {
	t.Helper()
	ts, err := s.ClaimBy(t.Context(), taskstore.ByBatch(batch), n)
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != n {
		t.Fatalf("claimed %d tasks of the batch, want %d", len(ts), n)
	}
	return ts
}

// Requeue requeues up to limit tasks that were silent for a millisecond, and tries until there are some.
func Requeue(ctx context.Context, s *taskstore.Store, limit int) ([]int64, error) {
	for {
		ids, err := s.RequeueStale(ctx, taskstore.Filter{}, time.Millisecond, limit)
		if err != nil || len(ids) > 0 {
			return ids, err
		}
	}
}

// History inserts n rows of that status that last changed at that time.
func (b *Bundle) History(t *testing.T, n int, st taskstore.Status, at time.Time) {
	t.Helper()
	b.Exec(t, `
		INSERT INTO tasks
			(integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
		SELECT i, i, i, i, i, '', $2, $3, $3 FROM generate_series(1, $1::integer) AS i`, n, int32(st), at.UnixMilli())
}

// LongAgo is when a task of History last changed. Cutoff is a year later: DeleteFinished deletes up to it.
var (
	LongAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	Cutoff  = LongAgo.AddDate(1, 0, 0)
)

// DeleteFinished deletes, and fails the test unless it was that many.
func DeleteFinished(t *testing.T, s *taskstore.Store, limit int, want int64) {
	t.Helper()
	if n, err := s.DeleteFinished(t.Context(), Cutoff, limit); n != want || err != nil {
		t.Errorf("deleted %d, %v; want %d", n, err, want)
	}
}

// HoldDeletes has each statement that deletes tasks wait, with its snapshot, until goOn is called.
func (b *Bundle) HoldDeletes(t *testing.T) (goOn func()) {
	t.Helper()
	b.Exec(t, `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NULL; END'`)
	b.Exec(t, `CREATE TRIGGER hold BEFORE DELETE ON tasks FOR EACH STATEMENT EXECUTE FUNCTION hold()`)
	tx, err := b.Admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	end := func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }
	t.Cleanup(end)
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(1)`); err != nil {
		t.Fatal(err)
	}
	return end
}
