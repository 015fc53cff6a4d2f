package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// history inserts n rows of that status which last changed at a time.
func (b *bundle) history(t *testing.T, n int, st taskstore.Status, at time.Time) {
	t.Helper()
	b.exec(t, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
		SELECT i, i, i, i, i, '', $2, $3, $3 FROM generate_series(1, $1::integer) AS i`, n, int32(st), at.UnixMilli())
}

var (
	longAgo = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	cutoff  = longAgo.AddDate(1, 0, 0)
)

func remaining(t *testing.T, b *bundle) []int64 {
	t.Helper()
	return ids(stored(t, b.pool))
}

// deleteFinished deletes, and fails the test unless it was that many.
func deleteFinished(t *testing.T, s *taskstore.Store, limit int, want int64) {
	t.Helper()
	if n, err := s.DeleteFinished(t.Context(), cutoff, limit); n != want || err != nil {
		t.Errorf("deleted %d, %v; want %d", n, err, want)
	}
}

func TestDeleteFinishedDeletesOldFinishedTasks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before, at := taskstore.MillisOf(cutoff)-1, taskstore.MillisOf(cutoff)
	kept := []int64{
		b.row(t, taskstore.Pending, before, before).ID,
		b.row(t, taskstore.Processing, before, before).ID,
		b.row(t, taskstore.Completed, before, at).ID,
		b.row(t, taskstore.Failed, before, at).ID,
	}
	b.row(t, taskstore.Completed, before, before)
	b.row(t, taskstore.Failed, before, before)
	kept = append(kept, b.create(t, 1).ID)
	want := slices.DeleteFunc(stored(t, b.pool), func(task taskstore.Task) bool { return !slices.Contains(kept, task.ID) })

	deleteFinished(t, b.store, 10, 2)
	if rows := stored(t, b.pool); !slices.Equal(rows, want) {
		t.Errorf("stored\n%+v, want\n%+v", rows, want)
	}
	deleteFinished(t, b.store, 10, 0)
}

func TestDeleteFinishedIsExactAndResumes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history(t, 10, taskstore.Completed, longAgo)
	deleteFinished(t, b.store, 3, 3)
	wantIDs(t, "left", remaining(t, b), 4, 5, 6, 7, 8, 9, 10)
	deleteFinished(t, b.store, 1, 1)
	wantIDs(t, "left", remaining(t, b), 5, 6, 7, 8, 9, 10)
	deleteFinished(t, b.store, 6, 6)
	deleteFinished(t, b.store, 6, 0)

	// What is finished later is found later, wherever it stands.
	b.history(t, 5, taskstore.Pending, longAgo)
	deleteFinished(t, b.store, 1, 0)
	b.exec(t, `UPDATE tasks SET status = 3, updated_at = updated_at + 1`)
	deleteFinished(t, b.store, 100, 5)
}

// A call that comes back short has looked everywhere: also at tasks that were passed by and finished since.
func TestDeleteFinishedLooksEverywhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history(t, 3000, taskstore.Pending, longAgo)
	b.history(t, 2000, taskstore.Completed, longAgo)
	deleteFinished(t, b.store, 500, 500)
	b.exec(t, `UPDATE tasks SET status = 2, updated_at = updated_at + 1 WHERE id IN (1, 2, 1500, 2999)`)
	deleteFinished(t, b.store, 2000, 1504)
	b.exec(t, `UPDATE tasks SET status = 3, updated_at = updated_at + 1 WHERE id = 3`)
	deleteFinished(t, b.store, 1, 1)
	b.exec(t, `UPDATE tasks SET status = 3, updated_at = updated_at + 1`)
	for range 2 {
		deleteFinished(t, b.store, 1200, 1200)
	}
	deleteFinished(t, b.store, 1200, 2995-2400)
	wantIDs(t, "left", remaining(t, b))
}

// Rows that were written with an old time of change, and no time of creation of their own.
func TestDeleteFinishedOfImportedRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.exec(t, `
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status, updated_at)
		SELECT i, i, i, i, i, '', 2, $1 FROM generate_series(1, 3500) AS i`, longAgo.UnixMilli())
	deleteFinished(t, b.store, 10_000, 3500)
}

// However many old tasks stay in between, and however many slices of the table that makes.
func TestDeleteFinishedAcrossSlices(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 3 {
		b.history(t, 700, taskstore.Completed, longAgo)
		b.history(t, 1300, taskstore.Pending, longAgo)
		b.history(t, 500, taskstore.Failed, longAgo)
	}
	last := one[int64](t, b.pool, `SELECT max(id) FROM tasks`)
	b.createMany(t, 300)
	for range 3 {
		deleteFinished(t, b.store, 1100, 1100)
	}
	deleteFinished(t, b.store, 1100, 300)
	deleteFinished(t, b.store, 1100, 0)
	left := stored(t, b.pool)
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
	b := setup(t)
	b.history(t, 2, taskstore.Completed, longAgo)
	for _, limit := range []int{0, -1} {
		n, err := b.store.DeleteFinished(t.Context(), cutoff, limit)
		wantError(t, err, taskstore.ErrInvalid)
		if n != 0 {
			t.Errorf("deleted %d", n)
		}
	}
	wantIDs(t, "left", remaining(t, b), 1, 2)
	deleteFinished(t, b.store, 1_000_000_000, 2)
}

// A task that is retried while it is being deleted stays.
func TestDeleteFinishedBesideRetry(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		t.Run(fmt.Sprintf("committed %v", commit), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.history(t, 3, taskstore.Failed, longAgo)
			tx := b.begin(t, pgx.ReadCommitted)
			if n, err := b.store.WithTx(tx).Retry(t.Context(), 2); n != 1 || err != nil {
				t.Fatalf("retried %d, %v", n, err)
			}
			var deleted int64
			done := start(func() (err error) {
				deleted, err = b.store.DeleteFinished(t.Context(), cutoff, 10)
				return err
			})
			b.waitForBlocked(t, 1)
			end, left := tx.Rollback, []int64{}
			if commit {
				end, left = tx.Commit, []int64{2}
			}
			if err := end(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			wantIDs(t, "left", remaining(t, b), left...)
			if deleted != int64(3-len(left)) {
				t.Errorf("deleted %d of 3, and %v are left", deleted, left)
			}
		})
	}
}

// Whoever changes the tasks that are about to be deleted, those behind them have their turn in the same call.
func TestDeleteFinishedDeletesAllItMay(t *testing.T) {
	t.Parallel()
	for name, interfere := range map[string]string{
		"one is retried": `UPDATE tasks SET status = 0, updated_at = updated_at + 1 WHERE id = 2`,
		"all are gone":   `DELETE FROM tasks WHERE id <= 10`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.history(t, 900, taskstore.Failed, longAgo)
			tx := b.begin(t, pgx.ReadCommitted)
			if _, err := tx.Exec(t.Context(), interfere); err != nil {
				t.Fatal(err)
			}
			done := start(func() error {
				n, err := b.store.DeleteFinished(t.Context(), cutoff, 10)
				if n != 10 {
					t.Errorf("deleted %d, want 10", n)
				}
				return err
			})
			b.waitForBlocked(t, 1)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Rows that a trigger of somebody's protects stay, and do not keep the call from its end.
func TestDeleteFinishedPassesByProtectedRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history(t, 1500, taskstore.Completed, longAgo)
	b.exec(t, `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`)
	b.exec(t, `CREATE TRIGGER keep BEFORE DELETE ON tasks FOR EACH ROW WHEN (OLD.id % 500 = 0) EXECUTE FUNCTION keep()`)
	deleteFinished(t, b.store, 2000, 1497)
	wantIDs(t, "left", remaining(t, b), 500, 1000, 1500)
	deleteFinished(t, b.store, 2000, 0)
}

// Its transactions are short: what was deleted before an error stays deleted, and is said.
func TestDeleteFinishedCountsUpToAnError(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history(t, 2500, taskstore.Completed, longAgo)
	b.exec(t, `CREATE TABLE invoices (task_id bigint REFERENCES tasks)`)
	b.exec(t, `INSERT INTO invoices VALUES (1500)`)
	n, err := b.store.DeleteFinished(t.Context(), cutoff, 2500)
	if n != 1000 || sqlState(err) != "23503" {
		t.Errorf("deleted %d, %v; want 1000 and a foreign key violation", n, err)
	}
	if rows := one[int](t, b.pool, `SELECT count(*) FROM tasks`); rows != 1500 {
		t.Errorf("%d rows are left, want 1500", rows)
	}
	b.exec(t, `DROP TABLE invoices`)
	deleteFinished(t, b.store, 2500, 1500)
}

func TestDeleteFinishedInATransaction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.history(t, 5, taskstore.Completed, longAgo)
	tx := b.begin(t, pgx.ReadCommitted)
	s := b.store.WithTx(tx)
	deleteFinished(t, s, 2, 2)
	deleteFinished(t, s, 2, 2)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, "left", remaining(t, b), 1, 2, 3, 4, 5)
	deleteFinished(t, b.store, 2, 2)
	wantIDs(t, "left", remaining(t, b), 3, 4, 5)

	// The same where the caller sends BEGIN by hand.
	for name, db := range b.single(t) {
		s := taskstore.New(db)
		if _, err := db.Exec(t.Context(), "BEGIN"); err != nil {
			t.Fatal(err)
		}
		deleteFinished(t, s, 10, 3)
		if _, err := db.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
		if n, err := s.DeleteFinished(t.Context(), cutoff, 1); n != 1 || err != nil {
			t.Errorf("%s: after a rollback deleted %d, %v; want 1", name, n, err)
		}
		b.history(t, 1, taskstore.Completed, longAgo)
	}
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	b := setup(t)
	want := func(want taskstore.Backlog) {
		t.Helper()
		if got, err := b.store.Backlog(t.Context()); got != want || err != nil {
			t.Errorf("backlog %+v, %v; want %+v", got, err, want)
		}
	}
	want(taskstore.Backlog{})
	at := taskstore.MillisOf(longAgo)
	for i, st := range []taskstore.Status{
		taskstore.Failed, taskstore.Failed, taskstore.Failed, taskstore.Processing, taskstore.Processing, taskstore.Completed,
	} {
		b.row(t, st, at+taskstore.Millis(i), at+taskstore.Millis(i))
	}
	want(taskstore.Backlog{Processing: 2, Failed: 3})
	b.row(t, taskstore.Pending, at+100, at+200)
	b.row(t, taskstore.Pending, at+50, at+60) // claimed later, though created earlier
	want(taskstore.Backlog{Pending: 2, Processing: 2, Failed: 3, OldestPending: at + 100})
	claim(t, b.store, 1)
	want(taskstore.Backlog{Pending: 1, Processing: 3, Failed: 3, OldestPending: at + 50})

	tx := b.begin(t, pgx.ReadCommitted)
	claim(t, b.store.WithTx(tx), 1)
	want(taskstore.Backlog{Pending: 1, Processing: 3, Failed: 3, OldestPending: at + 50})
	inside, err := b.store.WithTx(tx).Backlog(t.Context())
	if inside != (taskstore.Backlog{Processing: 4, Failed: 3}) || err != nil {
		t.Errorf("inside the transaction: %+v, %v", inside, err)
	}
}
