package storetest

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// Statuses are all that a task can have.
var Statuses = []taskstore.Status{taskstore.Pending, taskstore.Processing, taskstore.Completed, taskstore.Failed}

// Create creates NewTask(n).
func (b *Bundle) Create(t *testing.T, n int) taskstore.Task {
	t.Helper()
	task, err := b.Store.Create(t.Context(), NewTask(n))
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// CreateMany creates NewTask(0) to NewTask(n-1).
func (b *Bundle) CreateMany(t *testing.T, n int) []int64 {
	t.Helper()
	ids, err := b.Store.CreateMany(t.Context(), NewTasks(n))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// In creates a task in status st and returns it as stored.
func (b *Bundle) In(t *testing.T, st taskstore.Status) taskstore.Task {
	t.Helper()
	task := b.Create(t, int(st))
	if st == taskstore.Pending {
		return task
	}
	task, err := b.Store.SetStatus(t.Context(), task, st)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// NewTask returns a task in which no two fields, and no two fields of different n, are alike.
func NewTask(n int) taskstore.NewTask {
	base := int64(n) * 10
	return taskstore.NewTask{
		IntegrationID: base + 1,
		UserID:        base + 2,
		ClientID:      base + 3,
		AccountID:     base + 4,
		TemplateID:    base + 5,
		Argument:      `{"n": ` + strconv.Itoa(n) + `}`,
	}
}

// NewTasks returns NewTask(0) to NewTask(n-1).
func NewTasks(n int) []taskstore.NewTask {
	ts := make([]taskstore.NewTask, n)
	for i := range ts {
		ts[i] = NewTask(i)
	}
	return ts
}

// Input returns what t was created from.
func Input(t taskstore.Task) taskstore.NewTask {
	return taskstore.NewTask{
		IntegrationID: t.IntegrationID,
		UserID:        t.UserID,
		ClientID:      t.ClientID,
		AccountID:     t.AccountID,
		TemplateID:    t.TemplateID,
		Argument:      t.Argument,
	}
}

// Querier is a pool, a connection or a transaction.
type Querier interface {
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
}

// Stored reads the whole table by a query of the test's own, in the order of ids.
func Stored(t *testing.T, db Querier) []taskstore.Task {
	t.Helper()
	return stored(t, db, "true")
}

// StoredOf is Stored for the tasks of some users.
func StoredOf(t *testing.T, db Querier, users ...int64) []taskstore.Task {
	t.Helper()
	return stored(t, db, "user_id = ANY ($1)", users)
}

func stored(t *testing.T, db Querier, where string, args ...any) []taskstore.Task {
	t.Helper()
	rows, err := db.Query(t.Context(), `
		SELECT id, integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at
		FROM tasks WHERE `+where, args...)
	if err != nil {
		t.Fatal(err)
	}
	tasks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (task taskstore.Task, err error) {
		var status int32
		var created, updated int64
		err = row.Scan(&task.ID, &task.IntegrationID, &task.UserID, &task.ClientID, &task.AccountID, &task.TemplateID,
			&task.Argument, &status, &created, &updated)
		task.Status = taskstore.Status(status)
		task.CreatedAt, task.UpdatedAt = taskstore.Millis(created), taskstore.Millis(updated)
		return task, err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(tasks, func(a, b taskstore.Task) int { return cmp.Compare(a.ID, b.ID) })
	return tasks
}

// StoredTask returns the stored row with that id.
func StoredTask(t *testing.T, db Querier, id int64) taskstore.Task {
	t.Helper()
	for _, task := range Stored(t, db) {
		if task.ID == id {
			return task
		}
	}
	t.Fatalf("no row has id %d", id)
	return taskstore.Task{}
}

// One returns the value that a query of the test's own selects.
func One[T any](t *testing.T, db Querier, sql string, args ...any) T {
	t.Helper()
	var v T
	if err := db.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// Row inserts a row of NewTask(1) as it might have come to be, and returns it.
func (b *Bundle) Row(t *testing.T, status taskstore.Status, created, updated taskstore.Millis) taskstore.Task {
	t.Helper()
	n := NewTask(1)
	id := One[int64](t, b.Pool, `
		INSERT INTO tasks
			(integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id`,
		n.IntegrationID, n.UserID, n.ClientID, n.AccountID, n.TemplateID, n.Argument, int32(status), int64(created),
		int64(updated))
	return StoredTask(t, b.Pool, id)
}

// IDs returns the tasks' ids, in their order.
func IDs(ts []taskstore.Task) []int64 {
	ids := make([]int64, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
	}
	return ids
}

// WantIDs fails the test unless got has these ids, in this order.
func WantIDs(t *testing.T, what string, got []int64, want ...int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: ids %v, want %v", what, got, want)
	}
}
