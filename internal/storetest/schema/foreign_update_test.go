package schema

import (
	"fmt"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A foreignWrite is an UPDATE by a program that knows nothing of versions. $1 is the row's id, $2 the
// value that it writes.
type foreignWrite struct {
	name string
	sql  string
}

var touches = []foreignWrite{
	{"updated_at", `UPDATE tasks SET argument = 'touched', updated_at = $2 WHERE id = $1`},
	{"created_at", `UPDATE tasks SET argument = 'touched', created_at = $2 WHERE id = $1`},
	{"both", `UPDATE tasks SET argument = 'touched', created_at = $2, updated_at = $2 WHERE id = $1`},
	// What GORM's Save sends: all columns, the status as it was read.
	{"all columns", `
		UPDATE tasks SET integration_id = 11, user_id = 12, client_id = 13, account_id = 14, template_id = 15,
			argument = 'touched', status = status, created_at = $2, updated_at = $2
		WHERE id = $1`},
}

// staleTimes are what a foreign writer says of updated_at without raising it.
func staleTimes() []badTime {
	at := func(v taskstore.Millis) *int64 { n := int64(v); return &n }
	return append(badTimes(version),
		badTime{name: "equal", value: at(version)},
		badTime{name: "lower by one", value: at(version - 1)},
		badTime{name: "lower by a day", value: at(version - 86_400_000)},
		badTime{name: "lowest in milliseconds", value: at(100_000_000_000)},
	)
}

// checkForeign checks the times of a row after a foreign write. before is the row as it was; keepsVersion says whether
// the version has to stay.
func checkForeign(t *testing.T, b *storetest.Bundle, before taskstore.Task, keepsVersion bool) taskstore.Task {
	t.Helper()
	latest := b.Now(t)
	row, err := b.Store.Get(t.Context(), before.ID)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case keepsVersion && row.UpdatedAt != before.UpdatedAt:
		t.Errorf("the version went from %d to %d: the lease is lost", before.UpdatedAt, row.UpdatedAt)
	case !keepsVersion && row.UpdatedAt <= before.UpdatedAt:
		t.Errorf("the version went from %d to %d, want it to rise", before.UpdatedAt, row.UpdatedAt)
	case row.UpdatedAt > latest:
		t.Errorf("the version is %d, which pins the row in the future: it is %d", row.UpdatedAt, latest)
	case !sound(row.CreatedAt) || row.CreatedAt > latest:
		t.Errorf("created_at is %d", row.CreatedAt)
	}
	return row
}

// A foreign update that leaves a task in processing leaves its worker the lease. Of any other task it makes a new
// version.
func TestForeignTouches(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, status := range storetest.Statuses {
		for _, touch := range touches {
			for _, bad := range staleTimes() {
				t.Run(fmt.Sprintf("%v/%s in %s", status, bad.name, touch.name), func(t *testing.T) {
					t.Parallel()
					before := b.Row(t, status, born, version)
					b.Exec(t, touch.sql, before.ID, bad.value)
					row := checkForeign(t, b, before, status == taskstore.Processing)
					if row.Argument != "touched" || row.Status != status {
						t.Errorf("the write itself got lost: %+v", row)
					}
					if (bad.value == nil || !sound(taskstore.Millis(*bad.value))) && row.CreatedAt != born {
						t.Errorf("created_at went from %d to %d", born, row.CreatedAt)
					}

					err := b.Store.Complete(t.Context(), before)
					if status == taskstore.Processing && err != nil {
						t.Errorf("the worker lost its lease: %v", err)
					} else if status != taskstore.Processing {
						storetest.WantError(t, err, taskstore.ErrConflict)
					}
				})
			}
		}
	}
}

// A change of status by hand takes the lease away, and no value in the time columns brings it back.
func TestForeignResets(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	resets := []foreignWrite{
		{"status alone", `UPDATE tasks SET status = (status + 1) % 4 WHERE id = $1 AND coalesce($2::bigint, 0) IS NOT NULL`},
		{"with updated_at", `UPDATE tasks SET status = (status + 1) % 4, updated_at = $2 WHERE id = $1`},
		{"with both times", `UPDATE tasks SET status = (status + 1) % 4, created_at = $2, updated_at = $2 WHERE id = $1`},
	}
	for _, status := range storetest.Statuses {
		for _, reset := range resets {
			for _, bad := range staleTimes() {
				t.Run(fmt.Sprintf("%v/%s/%s", status, reset.name, bad.name), func(t *testing.T) {
					t.Parallel()
					before := b.Row(t, status, born, version)
					b.Exec(t, reset.sql, before.ID, bad.value)
					row := checkForeign(t, b, before, false)
					if want := (status + 1) % 4; row.Status != want {
						t.Errorf("status is %v, want %v", row.Status, want)
					}
					storetest.WantConflict(t, b.Store.Heartbeat(t.Context(), []taskstore.Task{before}), before.ID)
					for _, finish := range storetest.Finishes {
						storetest.WantConflict(t, finish.End(b.Store, t.Context(), before), before.ID)
					}
					if again := storetest.StoredTask(t, b.Pool, before.ID); again != row {
						t.Errorf("a lost lease changed the row to %+v, was %+v", again, row)
					}
				})
			}
		}
	}
}

// A reset to pending and back does not keep the lease either: the version has risen twice.
func TestForeignResetThereAndBack(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	before := b.Row(t, taskstore.Processing, born, version)
	b.Exec(t, `UPDATE tasks SET status = 0 WHERE id = $1`, before.ID)
	between := checkForeign(t, b, before, false)
	b.Exec(t, `UPDATE tasks SET status = 1, updated_at = $2 WHERE id = $1`, before.ID, int64(version))
	checkForeign(t, b, between, false)
	storetest.WantError(t, b.Store.Complete(t.Context(), before), taskstore.ErrConflict)
}

// A foreign write that raises the version, in milliseconds, is a change like the store's own.
func TestForeignRaiseIsAVersion(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, status := range storetest.Statuses {
		before := b.Row(t, status, born, version)
		b.Exec(t, `UPDATE tasks SET updated_at = updated_at + 7, created_at = NULL WHERE id = $1`, before.ID)
		want := before
		want.UpdatedAt += 7
		if row := checkForeign(t, b, before, false); row != want {
			t.Errorf("stored %+v, want %+v", row, want)
		}
	}
}

// Rows from before the guards, written while the triggers are off: the first foreign update repairs their times, and
// does not set them in the future. The store's own change works on them as they are.
func TestRowsFromBeforeTheGuards(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, bad := range badTimes(version) {
		if bad.value == nil || *bad.value == 1<<63-1 {
			continue // NOT NULL stands in the way of one, and nothing can be above the other
		}
		for _, status := range storetest.Statuses {
			old := func() taskstore.Task {
				b.Exec(t, `ALTER TABLE tasks DISABLE TRIGGER USER`)
				task := b.Row(t, status, taskstore.Millis(*bad.value), taskstore.Millis(*bad.value))
				b.Exec(t, `ALTER TABLE tasks ENABLE TRIGGER USER`)
				return task
			}

			touched := old()
			b.Exec(t, `UPDATE tasks SET argument = 'touched' WHERE id = $1`, touched.ID)
			row, err := b.Store.Get(t.Context(), touched.ID)
			if err != nil {
				t.Fatal(err)
			}
			if now := b.Now(t); !sound(row.CreatedAt) || !sound(row.UpdatedAt) || row.UpdatedAt > now || row.CreatedAt > now {
				t.Errorf("%s, %v: a touch left %d and %d", bad.name, status, row.CreatedAt, row.UpdatedAt)
			}

			changed, err := b.Store.Update(t.Context(), old())
			// A version that stands for now rises by one: that may be a millisecond ahead.
			if now := b.Now(t); err != nil || !sound(changed.CreatedAt) || !sound(changed.UpdatedAt) ||
				changed.UpdatedAt > now+1 {
				t.Errorf("%s, %v: an update left %+v, error %v", bad.name, status, changed, err)
			}
		}
	}
}
