package work

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// failures reads what is known of the failures of one task.
func failures(t *testing.T, s *taskstore.Store, id int64) taskstore.LastFailure {
	t.Helper()
	all, err := s.Failures(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return all[id]
}

func TestFailWithKeepsTheReason(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 4)
	ts := storetest.Claim(t, b.Store, 4)
	lost := ts[3]
	if err := b.Store.Release(t.Context(), ts[3]); err != nil {
		t.Fatal(err)
	}
	before := b.Now(t)
	err := b.Store.FailWith(t.Context(),
		taskstore.Failure{Task: ts[0], Reason: "timeout"},
		taskstore.Failure{Task: ts[1], Reason: strings.Repeat("ä", 9_000) + "\x00\xff", RetryIn: time.Hour},
		taskstore.Failure{Task: ts[2], Reason: "a\x00b\xffc", RetryIn: 1},
		taskstore.Failure{Task: lost, Reason: "lost", RetryIn: time.Hour})
	storetest.WantConflict(t, err, lost.ID)
	after := b.Now(t)
	f := failures(t, b.Store, ts[0].ID)
	if f.Count != 1 || f.Reason != "timeout" || f.RetryAt != 0 || f.At < before || f.At > after {
		t.Errorf("first: %+v", f)
	}
	f = failures(t, b.Store, ts[1].ID)
	if len(f.Reason) != 10_000 || !utf8.ValidString(f.Reason) || f.RetryAt != f.At+3_600_000 {
		t.Errorf("second: %d bytes, %+v", len(f.Reason), f.RetryAt)
	}
	if f := failures(t, b.Store, ts[2].ID); f.Reason != "abc" || f.RetryAt != f.At+1 {
		t.Errorf("third: %+v", f)
	}
	if f := failures(t, b.Store, lost.ID); f.Count != 0 {
		t.Errorf("of a lost lease: %+v", f)
	}
	for i, want := range []taskstore.Status{3, 3, 3, 0} {
		if row := storedTask(t, b, ts[i].ID); row.Status != want {
			t.Errorf("task %d is %v", row.ID, row.Status)
		}
	}
	err = b.Store.FailWith(t.Context(), taskstore.Failure{Task: lost, RetryIn: -1})
	storetest.WantError(t, err, taskstore.ErrInvalid)
}

func storedTask(t *testing.T, b *storetest.Bundle, id int64) taskstore.Task {
	t.Helper()
	return storetest.StoredTask(t, b.Pool, id)
}

// retryDue tries until a task is due.
func retryDue(t *testing.T, s *taskstore.Store, f taskstore.Filter) []int64 {
	t.Helper()
	for {
		ids, err := s.RetryDue(t.Context(), f, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) > 0 {
			return ids
		}
	}
}

// A task that is due goes back to pending once, and keeps the count of its failures. No other task goes back.
func TestRetryDue(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	owned(t, b.Store, 1, 1, 1, 1)
	owned(t, b.Store, 1, 2, 1, 2)
	owned(t, b.Store, 2, 3, 1, 3)
	ts := storetest.Claim(t, b.Store, 4)
	if err := b.Store.FailWith(t.Context(),
		taskstore.Failure{Task: ts[0], RetryIn: time.Millisecond},
		taskstore.Failure{Task: ts[1], RetryIn: time.Millisecond},
		taskstore.Failure{Task: ts[2]},
		taskstore.Failure{Task: ts[3], RetryIn: time.Hour}); err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "due of template 2", retryDue(t, b.Store, taskstore.ByTemplate(2)), ts[1].ID)
	storetest.WantIDs(t, "due of integration 1", retryDue(t, b.Store, taskstore.ByIntegration(1)), ts[0].ID)
	if ids, err := b.Store.RetryDue(t.Context(), taskstore.Filter{}, 10); len(ids) != 0 || err != nil {
		t.Errorf("due, though nothing is: %v, %v", ids, err)
	}
	again := storetest.Claim(t, b.Store, 2)
	storetest.WantIDs(t, "claimed again", storetest.IDs(again), ts[0].ID, ts[1].ID)
	failure := taskstore.Failure{Task: again[0], Reason: "again", RetryIn: time.Hour}
	if err := b.Store.FailWith(t.Context(), failure); err != nil {
		t.Fatal(err)
	}
	if f := failures(t, b.Store, ts[0].ID); f.Count != 2 || f.Reason != "again" {
		t.Errorf("after the second failure: %+v", f)
	}

	// Put back by hand: no longer due by itself.
	if n, err := b.Store.Retry(t.Context(), ts[0].ID, ts[3].ID); n != 2 || err != nil {
		t.Fatalf("retried %d, %v", n, err)
	}
	if f := failures(t, b.Store, ts[3].ID); f.RetryAt != 0 || f.Count != 1 {
		t.Errorf("after a retry by hand: %+v", f)
	}

	for _, bad := range []struct {
		f     taskstore.Filter
		limit int
	}{{taskstore.ByUser(1), 1}, {taskstore.Filter{}, 0}, {taskstore.Filter{}, 10_001}} {
		_, err := b.Store.RetryDue(t.Context(), bad.f, bad.limit)
		storetest.WantError(t, err, taskstore.ErrInvalid)
	}
}

// What is known of failures goes with the task, or after it was completed.
func TestFailuresAreCleaned(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 4)
	ts := storetest.Claim(t, b.Store, 4)
	for _, task := range ts {
		failure := taskstore.Failure{Task: task, Reason: "x", RetryIn: time.Millisecond}
		if err := b.Store.FailWith(t.Context(), failure); err != nil {
			t.Fatal(err)
		}
	}
	known := func() []int64 {
		return storetest.One[[]int64](t, b.Admin, `
			SELECT coalesce(array_agg(task_id ORDER BY task_id), '{}') FROM task_failures`)
	}
	if n, err := b.Store.Retry(t.Context(), ts[0].ID); n != 1 || err != nil {
		t.Fatalf("retried %d, %v", n, err)
	}
	if err := b.Store.Complete(t.Context(), storetest.Claim(t, b.Store, 1)...); err != nil {
		t.Fatal(err)
	}
	if err := b.Store.Delete(t.Context(), ts[1].ID); err != nil {
		t.Fatal(err)
	}
	b.Exec(t, "DELETE FROM tasks WHERE id = $1", ts[2].ID) // by another program
	storetest.WantIDs(t, "known", known(), ts[0].ID, ts[2].ID, ts[3].ID)
	storetest.DeleteFinished(t, b.Store, 10, 0)
	storetest.WantIDs(t, "known", known(), ts[3].ID)
}

// completedAfterFailure returns a task that failed once and was completed then.
func completedAfterFailure(t *testing.T, b *storetest.Bundle) taskstore.Task {
	t.Helper()
	id := b.Create(t, 1).ID
	if err := b.Store.FailWith(t.Context(), taskstore.Failure{Task: storetest.Claim(t, b.Store, 1)[0]}); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Store.Retry(t.Context(), id); n != 1 || err != nil {
		t.Fatalf("retried %d, %v", n, err)
	}
	if err := b.Store.Complete(t.Context(), storetest.Claim(t, b.Store, 1)...); err != nil {
		t.Fatal(err)
	}
	return storedTask(t, b, id)
}

// Failures that somebody has locked are passed by, as tasks are.
func TestDeleteFinishedPassesByLockedFailures(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "there it waits for failures that somebody has locked")
	b := storetest.Setup(t)
	task := completedAfterFailure(t, b)
	tx := b.Begin(t, pgx.ReadCommitted)
	if err := b.Store.WithTx(tx).Delete(t.Context(), task.ID); err != nil {
		t.Fatal(err)
	}
	storetest.DeleteFinished(t, b.Store, 10, 0)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := failures(t, b.Store, task.ID); f.Count != 1 {
		t.Errorf("passed by: %+v", f)
	}
	storetest.DeleteFinished(t, b.Store, 10, 0)
	if f := failures(t, b.Store, task.ID); f.Count != 0 {
		t.Errorf("then: %+v", f)
	}
}

// A task that was completed when DeleteFinished began, and has failed again since, keeps what is known of that.
func TestDeleteFinishedSparesAFailureThatIsNew(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "there it deletes failures by a statement of its own")
	b := storetest.Setup(t)
	task := completedAfterFailure(t, b)
	goOn := b.HoldDeletes(t)
	cleans := storetest.Start(func() error {
		_, err := b.Store.DeleteFinished(t.Context(), storetest.Cutoff, 1)
		return err
	})
	b.WaitForBlocked(t, 1)
	task, err := b.Store.SetStatus(t.Context(), task, taskstore.Processing)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Store.FailWith(t.Context(), taskstore.Failure{Task: task, RetryIn: time.Hour}); err != nil {
		t.Fatal(err)
	}
	goOn()
	if err := <-cleans; err != nil {
		t.Fatal(err)
	}
	if f := failures(t, b.Store, task.ID); f.Count != 2 || f.RetryAt == 0 {
		t.Errorf("known: %+v", f)
	}
}
