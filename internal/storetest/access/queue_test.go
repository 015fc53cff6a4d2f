package access

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// queues claims by each filter and in turn, exchanges, fails with reasons, and puts back what is due or stale, of tasks
// of its own.
func queues(t *testing.T, b *storetest.Bundle, s *taskstore.Store) {
	t.Helper()
	b.Exec(t, `TRUNCATE tasks`)
	arrival, ignore := s.Arrival(taskstore.ByTemplate(3))
	defer ignore()
	ts := make([]taskstore.NewTask, 12)
	for i := range ts { // of the integrations 1 and 2 in turn
		ts[i] = taskstore.NewTask{IntegrationID: int64(i%2 + 1), ClientID: 3, TemplateID: int64(i%3 + 1)}
	}
	ids, err := s.CreateMany(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	<-arrival
	want := func(what string, got []taskstore.Task, err error, places ...int) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		slices.SortFunc(got, func(a, b taskstore.Task) int { return cmp.Compare(a.ID, b.ID) })
		wanted := make([]int64, len(places))
		for i, place := range places {
			wanted[i] = ids[place]
		}
		storetest.WantIDs(t, what, storetest.IDs(got), wanted...)
		for _, task := range got {
			if row := storetest.StoredTask(t, b.Pool, task.ID); row != task || row.Status != taskstore.Processing {
				t.Errorf("%s: got %+v, stored %+v", what, task, row)
			}
		}
	}
	second := taskstore.ByIntegration(2)
	byIntegration, err := s.ClaimBy(t.Context(), second, 2)
	want("by integration", byIntegration, err, 1, 3)
	byTemplate, err := s.ClaimBy(t.Context(), taskstore.ByTemplate(3), 1)
	want("by template", byTemplate, err, 2)
	batch := taskstore.ByBatch(taskstore.Batch{IntegrationID: 1, ClientID: 3, TemplateID: 1})
	byBatch, err := s.ClaimBy(t.Context(), batch, 1)
	want("by batch", byBatch, err, 0)
	fair, err := s.ClaimFair(t.Context(), 4)
	want("in turn", fair, err, 4, 5, 6, 7)

	reason := `it's "\$1", {NULL}, 中文`
	if err := s.FailWith(t.Context(), taskstore.Failure{Task: byTemplate[0], Reason: "not again"},
		taskstore.Failure{Task: byBatch[0], Reason: reason, RetryIn: time.Hour}); err != nil {
		t.Fatal(err)
	}
	in := taskstore.Ended{
		Completed: byIntegration[:1], Released: byIntegration[1:],
		Failed: []taskstore.Failure{{Task: fair[1], Reason: reason, RetryIn: time.Millisecond}},
	}
	exchanged, err := s.Exchange(t.Context(), in, taskstore.Filter{}, 1)
	want("exchanged", exchanged, err, 3) // which it has released
	_, err = s.Exchange(t.Context(), in, taskstore.Filter{}, 0)
	storetest.WantConflict(t, err, ids[1], ids[3], ids[5])

	failures, err := s.Failures(t.Context(), ids...)
	if err != nil || len(failures) != 3 {
		t.Fatalf("Failures: %+v, %v", failures, err)
	}
	for place, wanted := range map[int]taskstore.LastFailure{
		2: {Count: 1, Reason: "not again"},
		0: {Count: 1, Reason: reason, RetryAt: failures[ids[0]].At + 3_600_000},
		5: {Count: 1, Reason: reason, RetryAt: failures[ids[5]].At + 1},
	} {
		got := failures[ids[place]]
		if wanted.At = got.At; got != wanted || got.At == 0 {
			t.Errorf("failure of task %d: %+v, want %+v", place, got, wanted)
		}
	}
	var due []int64
	for len(due) == 0 { // a millisecond later
		none, err := s.RetryDue(t.Context(), taskstore.ByIntegration(1), 10)
		if err != nil || len(none) > 0 {
			t.Fatalf("of another integration retried %v, %v", none, err)
		}
		if due, err = s.RetryDue(t.Context(), second, 10); err != nil {
			t.Fatal(err)
		}
	}
	storetest.WantIDs(t, "due", due, ids[5])
	var stale []int64
	for len(stale) == 0 {
		if stale, err = s.RequeueStale(t.Context(), taskstore.ByTemplate(2), time.Millisecond, 10); err != nil {
			t.Fatal(err)
		}
	}
	storetest.WantIDs(t, "stale", stale, ids[4], ids[7])

	tx, err := s.BeginTx(t.Context(), pgx.TxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	inTx, err := s.WithTx(tx).Exchange(t.Context(), taskstore.Ended{Completed: fair[2:3]}, taskstore.ByTemplate(2), 1)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("in a transaction", inTx, err, 4)
	if row := storetest.StoredTask(t, b.Pool, ids[6]); row.Status != taskstore.Completed {
		t.Errorf("completed, and stored as %+v", row)
	}
}
