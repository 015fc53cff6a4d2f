package taskstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/dbgen"
)

// Update writes t's five ids and its Argument, and returns the task as stored; t's Status and times are not written. It
// succeeds only if the row still has the version in t.UpdatedAt: otherwise it is ErrConflict, or ErrNotFound if the row
// is gone, and nothing is written. The version of a claimed task is its lease: go on with the task that Update returns.
func (s *Store) Update(ctx context.Context, t Task) (Task, error) {
	if err := checkText("argument", t.Argument, maxBytes); err != nil {
		return Task{}, fail(err, "update task %d", t.ID)
	}
	return s.swap(ctx, t.ID, "update task", func(q *dbgen.Queries) (Task, error) {
		return q.UpdateTask(ctx, dbgen.UpdateTaskParams{
			IntegrationID: t.IntegrationID,
			UserID:        t.UserID,
			ClientID:      t.ClientID,
			AccountID:     t.AccountID,
			TemplateID:    t.TemplateID,
			Argument:      t.Argument,
			ID:            t.ID,
			Version:       int64(t.UpdatedAt),
		})
	})
}

// SetStatus moves t to another status, by any of the moves between the four, and returns the task as
// stored. It is for people and programs that administer tasks; workers use [Store.Claim] and
// [Store.Complete]. As [Store.Update], it succeeds only on the version in t.
func (s *Store) SetStatus(ctx context.Context, t Task, to Status) (Task, error) {
	if err := checkStatus(to); err != nil {
		return Task{}, fail(err, "set status of task %d", t.ID)
	}
	t, err := s.swap(ctx, t.ID, "set status of task", func(q *dbgen.Queries) (Task, error) {
		return q.SetTaskStatus(ctx, int32(to), t.ID, int64(t.UpdatedAt))
	})
	if err == nil && to == Pending {
		s.putBack(t.ID)
	}
	return t, err
}

// swap runs a compare-and-set of one task. That no row matched does not say why, so it looks.
func (s *Store) swap(ctx context.Context, id int64, op string, set func(*dbgen.Queries) (Task, error)) (Task, error) {
	t, err := write(ctx, s, func(db DB) (Task, error) { return set(dbgen.New(db)) })
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err = read(ctx, s, func(q *dbgen.Queries) (Task, error) { return q.GetTask(ctx, id) }); err == nil {
			err = errChanged
		}
	}
	if err != nil {
		return Task{}, fail(err, op+" %d", id)
	}
	return t, nil
}

// Delete removes the task with that id, whatever its status and version, and its key, or returns ErrNotFound.
func (s *Store) Delete(ctx context.Context, id int64) error {
	if s.citus {
		return fail(s.deleteOnShards(ctx, id), "delete task %d", id)
	}
	n, err := write(ctx, s, func(db DB) (int64, error) { return dbgen.New(db).DeleteTask(ctx, id) })
	if err == nil && n == 0 {
		err = pgx.ErrNoRows
	}
	return fail(err, "delete task %d", id)
}
