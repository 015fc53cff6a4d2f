package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tasklane/tasks/taskstore"
)

// stores returns a Store of each kind of claim over the test's database.
func (b *bundle) stores() map[string]*taskstore.Store {
	return map[string]*taskstore.Store{
		"locking":    taskstore.New(b.pool),
		"optimistic": taskstore.New(b.pool, taskstore.WithOptimisticClaims()),
	}
}

// claim claims n tasks, all of them there.
func claim(t *testing.T, s *taskstore.Store, n int) []taskstore.Task {
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

// row inserts a row of newTask(1) as it might have come to be, and returns it.
func (b *bundle) row(t *testing.T, status taskstore.Status, created, updated taskstore.Millis) taskstore.Task {
	t.Helper()
	n := newTask(1)
	id := one[int64](t, b.pool, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		n.IntegrationID, n.UserID, n.ClientID, n.AccountID, n.TemplateID, n.Argument, int32(status), int64(created), int64(updated))
	return storedTask(t, b.pool, id)
}

func ids(ts []taskstore.Task) []int64 {
	ids := make([]int64, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
	}
	return ids
}

// wantIDs fails the test unless got has these ids, in this order.
func wantIDs(t *testing.T, what string, got []int64, want ...int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: ids %v, want %v", what, got, want)
	}
}

// wantConflict fails the test unless err names exactly these tasks.
func wantConflict(t *testing.T, err error, ids ...int64) {
	t.Helper()
	var conflict *taskstore.ConflictError
	if !errors.As(err, &conflict) {
		t.Errorf("error is %v, want a ConflictError of tasks %v", err, ids)
		return
	}
	wantError(t, err, taskstore.ErrConflict)
	wantIDs(t, "conflict", conflict.IDs, ids...)
}

// moved returns task as it must be stored after a change of the store's to that status, whatever its new
// version is, given the row that is there.
func moved(t *testing.T, task, row taskstore.Task, to taskstore.Status) taskstore.Task {
	t.Helper()
	if row.UpdatedAt <= task.UpdatedAt {
		t.Errorf("task %d: version %d follows %d", task.ID, row.UpdatedAt, task.UpdatedAt)
	}
	task.Status, task.UpdatedAt = to, row.UpdatedAt
	return task
}

// finish is one of the methods that end a lease, and the status that it leads to.
type finish struct {
	end func(s *taskstore.Store, ctx context.Context, tasks ...taskstore.Task) error
	to  taskstore.Status
}

var finishes = map[string]finish{
	"complete": {(*taskstore.Store).Complete, taskstore.Completed},
	"fail":     {(*taskstore.Store).Fail, taskstore.Failed},
	"release":  {(*taskstore.Store).Release, taskstore.Pending},
}

// claimBatch claims n tasks of a batch, all of them there.
func claimBatch(t *testing.T, s *taskstore.Store, batch taskstore.Batch, n int) []taskstore.Task {
	t.Helper()
	ts, err := s.ClaimBatch(t.Context(), batch, n)
	if err != nil {
		t.Fatal(err)
	}
	if len(ts) != n {
		t.Fatalf("claimed %d tasks of the batch, want %d", len(ts), n)
	}
	return ts
}
