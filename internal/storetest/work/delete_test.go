package work

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func remaining(t *testing.T, b *storetest.Bundle) []int64 {
	t.Helper()
	return storetest.IDs(storetest.Stored(t, b.Pool))
}

func TestDeleteFinishedDeletesOldFinishedTasks(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	before, at := taskstore.MillisOf(storetest.Cutoff)-1, taskstore.MillisOf(storetest.Cutoff)
	kept := []int64{
		b.Row(t, taskstore.Pending, before, before).ID,
		b.Row(t, taskstore.Processing, before, before).ID,
		b.Row(t, taskstore.Completed, before, at).ID,
		b.Row(t, taskstore.Failed, before, at).ID,
	}
	b.Row(t, taskstore.Completed, before, before)
	b.Row(t, taskstore.Failed, before, before)
	kept = append(kept, b.Create(t, 1).ID)
	want := slices.DeleteFunc(storetest.Stored(t, b.Pool),
		func(task taskstore.Task) bool { return !slices.Contains(kept, task.ID) })

	storetest.DeleteFinished(t, b.Store, 10, 2)
	if rows := storetest.Stored(t, b.Pool); !slices.Equal(rows, want) {
		t.Errorf("stored\n%+v, want\n%+v", rows, want)
	}
	storetest.DeleteFinished(t, b.Store, 10, 0)
}

func TestDeleteFinishedIsExactAndResumes(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 10, taskstore.Completed, storetest.LongAgo)
	storetest.DeleteFinished(t, b.Store, 3, 3)
	storetest.WantIDs(t, "left", remaining(t, b), 4, 5, 6, 7, 8, 9, 10)
	storetest.DeleteFinished(t, b.Store, 1, 1)
	storetest.WantIDs(t, "left", remaining(t, b), 5, 6, 7, 8, 9, 10)
	storetest.DeleteFinished(t, b.Store, 6, 6)
	storetest.DeleteFinished(t, b.Store, 6, 0)

	// Tasks that are finished later are found later, wherever they stand.
	b.History(t, 5, taskstore.Pending, storetest.LongAgo)
	storetest.DeleteFinished(t, b.Store, 1, 0)
	b.Exec(t, `UPDATE tasks SET status = 3, updated_at = updated_at + 1`)
	storetest.DeleteFinished(t, b.Store, 100, 5)
}

// A call that comes back short has looked everywhere: also at tasks that were passed by and finished since.
func TestDeleteFinishedLooksEverywhere(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 3000, taskstore.Pending, storetest.LongAgo)
	b.History(t, 2000, taskstore.Completed, storetest.LongAgo)
	storetest.DeleteFinished(t, b.Store, 500, 500)
	b.Exec(t, `UPDATE tasks SET status = 2, updated_at = updated_at + 1 WHERE id IN (1, 2, 1500, 2999)`)
	storetest.DeleteFinished(t, b.Store, 2000, 1504)
	b.Exec(t, `UPDATE tasks SET status = 3, updated_at = updated_at + 1 WHERE id = 3`)
	storetest.DeleteFinished(t, b.Store, 1, 1)
	b.Exec(t, `UPDATE tasks SET status = 3, updated_at = updated_at + 1`)
	for range 2 {
		storetest.DeleteFinished(t, b.Store, 1200, 1200)
	}
	storetest.DeleteFinished(t, b.Store, 1200, 2995-2400)
	storetest.WantIDs(t, "left", remaining(t, b))
}

// Rows that were written with an old time of change, and no time of creation of their own.
func TestDeleteFinishedOfImportedRows(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status, updated_at)
		SELECT i, i, i, i, i, '', 2, $1 FROM generate_series(1, 3500) AS i`, storetest.LongAgo.UnixMilli())
	storetest.DeleteFinished(t, b.Store, 10_000, 3500)
}

// It deletes all of them, however many other old tasks lie between and however many slices of the table that makes.
func TestDeleteFinishedAcrossSlices(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for range 3 {
		b.History(t, 700, taskstore.Completed, storetest.LongAgo)
		b.History(t, 1300, taskstore.Pending, storetest.LongAgo)
		b.History(t, 500, taskstore.Failed, storetest.LongAgo)
	}
	last := storetest.One[int64](t, b.Pool, `SELECT max(id) FROM tasks`)
	b.CreateMany(t, 300)
	for range 3 {
		storetest.DeleteFinished(t, b.Store, 1100, 1100)
	}
	storetest.DeleteFinished(t, b.Store, 1100, 300)
	storetest.DeleteFinished(t, b.Store, 1100, 0)
	left := storetest.Stored(t, b.Pool)
	if len(left) != 3*1300+300 {
		t.Errorf("%d rows are left, want the %d that are not finished", len(left), 3*1300+300)
	}
	for _, task := range left {
		if task.Status != taskstore.Pending {
			t.Fatalf("left %+v (the last old one is %d)", task, last)
		}
	}
}

func TestDeleteFinishedLimits(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 2, taskstore.Completed, storetest.LongAgo)
	for _, limit := range []int{0, -1} {
		n, err := b.Store.DeleteFinished(t.Context(), storetest.Cutoff, limit)
		storetest.WantError(t, err, taskstore.ErrInvalid)
		if n != 0 {
			t.Errorf("deleted %d", n)
		}
	}
	storetest.WantIDs(t, "left", remaining(t, b), 1, 2)
	storetest.DeleteFinished(t, b.Store, 1_000_000_000, 2)
}

// A task whose row another session has locked is passed by; those behind it have their turn in the same call.
func TestDeleteFinishedPassesByLockedRows(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 900, taskstore.Failed, storetest.LongAgo)
	tx := b.Begin(t, pgx.ReadCommitted)
	if n, err := b.Store.WithTx(tx).Retry(t.Context(), 2); n != 1 || err != nil {
		t.Fatalf("retried %d, %v", n, err)
	}
	storetest.DeleteFinished(t, b.Store, 10, 10)
	storetest.DeleteFinished(t, b.Store, 1000, 889)
	storetest.WantIDs(t, "left", remaining(t, b), 2)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.DeleteFinished(t, b.Store, 1000, 1)
}

// Young rows with low ids, as an import or a clock that was ahead leaves them, do not end it.
func TestDeleteFinishedPassesByYoungRows(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 2500)
	b.History(t, 10, taskstore.Completed, storetest.LongAgo)
	storetest.DeleteFinished(t, b.Store, 100, 10)
}

// Rows that a foreign trigger protects stay, and the call ends all the same.
func TestDeleteFinishedPassesByProtectedRows(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 1500, taskstore.Completed, storetest.LongAgo)
	b.Exec(t, `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`)
	b.Exec(t, `CREATE TRIGGER keep BEFORE DELETE ON tasks FOR EACH ROW WHEN (OLD.id % 500 = 0) EXECUTE FUNCTION keep()`)
	storetest.DeleteFinished(t, b.Store, 2000, 1497)
	storetest.WantIDs(t, "left", remaining(t, b), 500, 1000, 1500)
	storetest.DeleteFinished(t, b.Store, 2000, 0)
}

// So do rows that a foreign key of somebody else needs.
func TestDeleteFinishedPassesByReferredRows(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "a foreign key of a table that is not distributed is not enforced there")
	b := storetest.Setup(t)
	b.History(t, 1500, taskstore.Completed, storetest.LongAgo)
	b.Exec(t, `CREATE TABLE invoices (task_id bigint REFERENCES tasks)`)
	b.Exec(t, `INSERT INTO invoices VALUES (7), (1400)`)
	storetest.DeleteFinished(t, b.Store, 2000, 1498)
	storetest.WantIDs(t, "left", remaining(t, b), 7, 1400)
	b.Exec(t, `DROP TABLE invoices`)
	storetest.DeleteFinished(t, b.Store, 2000, 2)
}

// Its transactions are short: rows that were deleted before an error stay deleted, and are counted.
func TestDeleteFinishedCountsUpToAnError(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "a foreign key of a table that is not distributed is not enforced there")
	b := storetest.Setup(t)
	b.History(t, 2500, taskstore.Completed, storetest.LongAgo)
	b.Exec(t, `CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$`)
	b.Exec(t, `
		CREATE TRIGGER full_disk BEFORE DELETE ON tasks FOR EACH ROW WHEN (OLD.id = 1500) EXECUTE FUNCTION full_disk()`)
	n, err := b.Store.DeleteFinished(t.Context(), storetest.Cutoff, 2500)
	if n != 1000 || storetest.SQLState(err) != "53100" {
		t.Errorf("deleted %d, %v; want 1000 and a full disk", n, err)
	}
	if rows := storetest.One[int](t, b.Pool, `SELECT count(*) FROM tasks`); rows != 1500 {
		t.Errorf("%d rows are left, want 1500", rows)
	}
	b.Exec(t, `DROP TRIGGER full_disk ON tasks`)
	storetest.DeleteFinished(t, b.Store, 2500, 1500)
}

func TestDeleteFinishedInATransaction(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 5, taskstore.Completed, storetest.LongAgo)
	tx := b.Begin(t, pgx.ReadCommitted)
	s := b.Store.WithTx(tx)
	storetest.DeleteFinished(t, s, 2, 2)
	storetest.DeleteFinished(t, s, 2, 2)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "left", remaining(t, b), 1, 2, 3, 4, 5)
	storetest.DeleteFinished(t, b.Store, 2, 2)
	storetest.WantIDs(t, "left", remaining(t, b), 3, 4, 5)

	// The same where the caller sends BEGIN by hand.
	for name, db := range b.Single(t) {
		s := storetest.NewStore(db)
		if _, err := db.Exec(t.Context(), "BEGIN"); err != nil {
			t.Fatal(err)
		}
		storetest.DeleteFinished(t, s, 10, 3)
		if _, err := db.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if n, err := s.DeleteFinished(t.Context(), storetest.Cutoff, 1); n != 1 || err != nil {
			t.Errorf("%s: after a rollback deleted %d, %v; want 1", name, n, err)
		}
		b.History(t, 1, taskstore.Completed, storetest.LongAgo)
	}
}

// Finished tells beforehand what DeleteFinished will do, and shows the oldest of it.
func TestFinishedIsWhatDeleteFinishedDeletes(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	before, at := taskstore.MillisOf(storetest.Cutoff)-1, taskstore.MillisOf(storetest.Cutoff)
	b.Row(t, taskstore.Pending, before, before)
	b.Row(t, taskstore.Completed, before, at)
	b.History(t, 1500, taskstore.Pending, storetest.LongAgo) // more than a slice, before and between
	b.Row(t, taskstore.Completed, before, before)            // 1503
	b.History(t, 1500, taskstore.Processing, storetest.LongAgo)
	b.History(t, 12, taskstore.Failed, storetest.LongAgo) // 3004 to 3015
	stored := storetest.Stored(t, b.Pool)

	all := []int64{1503, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 3011, 3012}
	for _, step := range []struct {
		limit int
		n     int64
		shown []int64
	}{{1, 1, all[:1]}, {3, 3, all[:3]}, {13, 13, all}, {100, 13, all}} {
		n, oldest, err := b.Store.Finished(t.Context(), storetest.Cutoff, step.limit)
		if err != nil || n != step.n {
			t.Errorf("limit %d: %d, %v; want %d", step.limit, n, err, step.n)
		}
		storetest.WantIDs(t, "oldest", storetest.IDs(oldest), step.shown...)
	}
	if !slices.Equal(storetest.Stored(t, b.Pool), stored) {
		t.Error("it changed something")
	}
	storetest.DeleteFinished(t, b.Store, 100, 13)
	if n, oldest, err := b.Store.Finished(t.Context(), storetest.Cutoff, 100); n != 0 || len(oldest) > 0 || err != nil {
		t.Errorf("afterwards: %d, %v, %v", n, oldest, err)
	}
	_, _, err := b.Store.Finished(t.Context(), storetest.Cutoff, 0)
	storetest.WantError(t, err, taskstore.ErrInvalid)
}
