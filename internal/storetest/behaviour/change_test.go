package behaviour

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestUpdateWritesTheIDsAndTheArgument(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, st := range storetest.Statuses {
		old, other := b.In(t, st), b.Create(t, 9)
		changed := storetest.NewTask(77)
		asked := taskstore.Task{
			ID: old.ID, UpdatedAt: old.UpdatedAt,
			IntegrationID: changed.IntegrationID, UserID: changed.UserID, ClientID: changed.ClientID,
			AccountID: changed.AccountID, TemplateID: changed.TemplateID, Argument: changed.Argument,
			Status: (st + 1) % 4, CreatedAt: 1, // neither is written
		}
		got, err := b.Store.Update(t.Context(), asked)
		if err != nil {
			t.Fatal(err)
		}
		want := asked
		want.Status, want.CreatedAt, want.UpdatedAt = old.Status, old.CreatedAt, got.UpdatedAt
		if got != want || got.UpdatedAt <= old.UpdatedAt {
			t.Errorf("updated to %+v, want %+v with a version above %d", got, want, old.UpdatedAt)
		}
		if row := storetest.StoredTask(t, b.Pool, old.ID); row != got {
			t.Errorf("stored %+v, want %+v", row, got)
		}
		if row := storetest.StoredTask(t, b.Pool, other.ID); row != other {
			t.Errorf("another row became %+v, was %+v", row, other)
		}
	}
}

// An update that changes nothing else still is a new version, dated by the database's clock.
func TestUpdateIsDatedByTheDatabase(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	old := b.Create(t, 1)
	b.WaitFor(t, `SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint > $1::bigint + 5`, int64(old.UpdatedAt))
	earliest := b.Now(t)
	got, err := b.Store.Update(t.Context(), old)
	if err != nil {
		t.Fatal(err)
	}
	if got.UpdatedAt < earliest || got.UpdatedAt > b.Now(t) || got.CreatedAt != old.CreatedAt {
		t.Errorf("updated at %d, want a time after %d", got.UpdatedAt, earliest)
	}
}

func TestSetStatusMovesBetweenAnyTwo(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, from := range storetest.Statuses {
		for _, to := range storetest.Statuses {
			old, other := b.In(t, from), b.Create(t, 9)
			got, err := b.Store.SetStatus(t.Context(), old, to)
			if err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			want := old
			want.Status, want.UpdatedAt = to, got.UpdatedAt
			if got != want || got.UpdatedAt <= old.UpdatedAt {
				t.Errorf("%v to %v: got %+v, want %+v with a higher version", from, to, got, want)
			}
			if row := storetest.StoredTask(t, b.Pool, old.ID); row != got {
				t.Errorf("stored %+v, want %+v", row, got)
			}
			if row := storetest.StoredTask(t, b.Pool, other.ID); row != other {
				t.Errorf("another row became %+v, was %+v", row, other)
			}
		}
	}
	task := b.Create(t, 1)
	for _, st := range []taskstore.Status{-1, 4, 1 << 30} {
		_, err := b.Store.SetStatus(t.Context(), task, st)
		storetest.WantError(t, err, taskstore.ErrInvalid)
	}
	if row := storetest.StoredTask(t, b.Pool, task.ID); row != task {
		t.Errorf("a refused status changed the row to %+v", row)
	}
}

// What SetStatus writes is the status alone, whatever else the caller's copy says.
func TestSetStatusWritesTheStatusAlone(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	old := b.Create(t, 1)
	asked := taskstore.Task{ID: old.ID, UpdatedAt: old.UpdatedAt, Argument: "not written"}
	got, err := b.Store.SetStatus(t.Context(), asked, taskstore.Failed)
	if err != nil || storetest.Input(got) != storetest.NewTask(1) || got.CreatedAt != old.CreatedAt {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	rest := b.Create(t, 9)
	for _, st := range storetest.Statuses {
		task := b.In(t, st)
		if err := b.Store.Delete(t.Context(), task.ID); err != nil {
			t.Fatal(err)
		}
		if got := storetest.Stored(t, b.Pool); !slices.Equal(got, []taskstore.Task{rest}) {
			t.Errorf("after deleting task %d there are %+v", task.ID, got)
		}
		storetest.WantError(t, b.Store.Delete(t.Context(), task.ID), taskstore.ErrNotFound, pgx.ErrNoRows)
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
			b := storetest.Setup(t)
			old := b.Create(t, 1)
			current, err := b.Store.Update(t.Context(), old)
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
				got, err := change(t, b.Store, task)
				storetest.WantError(t, err, taskstore.ErrConflict)
				if got != (taskstore.Task{}) {
					t.Errorf("got %+v beside the error", got)
				}
				if row := storetest.StoredTask(t, b.Pool, old.ID); row != current {
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
			if _, err := change(t, b.Store, token); err != nil {
				t.Error(err)
			}
			if err := b.Store.Delete(t.Context(), old.ID); err != nil {
				t.Fatal(err)
			}
			got, err := change(t, b.Store, current)
			storetest.WantError(t, err, taskstore.ErrNotFound, pgx.ErrNoRows)
			if got != (taskstore.Task{}) || len(storetest.Stored(t, b.Pool)) != 0 {
				t.Errorf("a change of a deleted task returned %+v and left %+v", got, storetest.Stored(t, b.Pool))
			}
		})
	}
}
