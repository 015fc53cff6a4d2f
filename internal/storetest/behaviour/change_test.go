package storetest

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

var statuses = []taskstore.Status{taskstore.Pending, taskstore.Processing, taskstore.Completed, taskstore.Failed}

func TestUpdateWritesTheIDsAndTheArgument(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, st := range statuses {
		old, other := b.in(t, st), b.create(t, 9)
		changed := newTask(77)
		asked := taskstore.Task{
			ID: old.ID, UpdatedAt: old.UpdatedAt,
			IntegrationID: changed.IntegrationID, UserID: changed.UserID, ClientID: changed.ClientID,
			AccountID: changed.AccountID, TemplateID: changed.TemplateID, Argument: changed.Argument,
			Status: (st + 1) % 4, CreatedAt: 1, // neither is written
		}
		got, err := b.store.Update(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		want := asked
		want.Status, want.CreatedAt, want.UpdatedAt = old.Status, old.CreatedAt, got.UpdatedAt
		if got != want || got.UpdatedAt <= old.UpdatedAt {
			t.Errorf("updated to %+v, want %+v with a version above %d", got, want, old.UpdatedAt)
		}
		if row := storedTask(t, b.pool, old.ID); row != got {
			t.Errorf("stored %+v, want %+v", row, got)
		}
		if row := storedTask(t, b.pool, other.ID); row != other {
			t.Errorf("another row became %+v, was %+v", row, other)
		}
	}
}

// An update that changes nothing else still is a new version, dated by the database's clock.
func TestUpdateIsDatedByTheDatabase(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.create(t, 1)
	b.waitFor(t, `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint > $1::bigint + 5`, int64(old.UpdatedAt))
	earliest := b.now(t)
	got, err := b.store.Update(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if got.UpdatedAt < earliest || got.UpdatedAt > b.now(t) || got.CreatedAt != old.CreatedAt {
		t.Errorf("updated at %d, want a time after %d", got.UpdatedAt, earliest)
	}
}

func TestSetStatusMovesBetweenAnyTwo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, from := range statuses {
		for _, to := range statuses {
			old, other := b.in(t, from), b.create(t, 9)
			got, err := b.store.SetStatus(t.Context(), old, to)
			if err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			want := old
			want.Status, want.UpdatedAt = to, got.UpdatedAt
			if got != want || got.UpdatedAt <= old.UpdatedAt {
				t.Errorf("%v to %v: got %+v, want %+v with a higher version", from, to, got, want)
			}
			if row := storedTask(t, b.pool, old.ID); row != got {
				t.Errorf("stored %+v, want %+v", row, got)
			}
			if row := storedTask(t, b.pool, other.ID); row != other {
				t.Errorf("another row became %+v, was %+v", row, other)
			}
		}
	}
	task := b.create(t, 1)
	for _, st := range []taskstore.Status{-1, 4, 1 << 30} {
		_, err := b.store.SetStatus(t.Context(), task, st)
		wantError(t, err, taskstore.ErrInvalid)
	}
	if row := storedTask(t, b.pool, task.ID); row != task {
		t.Errorf("a refused status changed the row to %+v", row)
	}
}

// What SetStatus writes is the status alone, whatever else the caller's copy says.
func TestSetStatusWritesTheStatusAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	old := b.create(t, 1)
	asked := taskstore.Task{ID: old.ID, UpdatedAt: old.UpdatedAt, Argument: "not written"}
	got, err := b.store.SetStatus(t.Context(), asked, taskstore.Failed)
	if err != nil || input(got) != newTask(1) || got.CreatedAt != old.CreatedAt {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rest := b.create(t, 9)
	for _, st := range statuses {
		task := b.in(t, st)
		if err := b.store.Delete(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, b.pool); !slices.Equal(got, []taskstore.Task{rest}) {
			t.Errorf("after deleting task %d there are %+v", task.ID, got)
		}
		wantError(t, b.store.Delete(t.Context(), task.ID), taskstore.ErrNotFound, pgx.ErrNoRows)
	}
}

// changes are the methods that present a version.
var changes = map[string]func(t *testing.T, s *taskstore.Store, task taskstore.Task) (taskstore.Task, error){
	"Update": func(t *testing.T, s *taskstore.Store, task taskstore.Task) (taskstore.Task, error) {
		return s.Update(t.Context(), task)
	},
	"SetStatus": func(t *testing.T, s *taskstore.Store, task taskstore.Task) (taskstore.Task, error) {
		return s.SetStatus(t.Context(), task, taskstore.Completed)
	},
}

func TestOnlyTheCurrentVersionIsAToken(t *testing.T) {
	t.Parallel()
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			old := b.create(t, 1)
			current, err := b.store.Update(t.Context(), old)
			if err != nil {
				t.Fatal(err)
			}
			for _, version := range []taskstore.Millis{
				old.UpdatedAt, current.UpdatedAt - 1, current.UpdatedAt + 1, 0, -1, 1<<63 - 1, -1 << 63,
			} {
				if version == current.UpdatedAt {
					continue
				}
				task := current
				task.UpdatedAt = version
				got, err := change(t, b.store, task)
				wantError(t, err, taskstore.ErrConflict)
				if got != (taskstore.Task{}) {
					t.Errorf("got %+v beside the error", got)
				}
				if row := storedTask(t, b.pool, old.ID); row != current {
					t.Fatalf("version %d changed the row to %+v", version, row)
				}
			}
			// The token survives the way to another process and back.
			text, err := json.Marshal(current)
			if err != nil {
				t.Fatal(err)
			}
			var token taskstore.Task
			if err := json.Unmarshal(text, &token); err != nil {
				t.Fatal(err)
			}
			if _, err := change(t, b.store, token); err != nil {
				t.Error(err)
			}
			if err := b.store.Delete(t.Context(), old.ID); err != nil {
				t.Fatal(err)
			}
			got, err := change(t, b.store, current)
			wantError(t, err, taskstore.ErrNotFound, pgx.ErrNoRows)
			if got != (taskstore.Task{}) || len(stored(t, b.pool)) != 0 {
				t.Errorf("a change of a deleted task returned %+v and left %+v", got, stored(t, b.pool))
			}
		})
	}
}
