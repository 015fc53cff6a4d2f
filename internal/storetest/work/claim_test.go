package work

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestClaimTakesTheOldestPending(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := b.Store
	for _, st := range []taskstore.Status{taskstore.Completed, taskstore.Failed, taskstore.Processing} {
		b.In(t, st)
	}
	pending := []taskstore.Task{b.Create(t, 1), b.Create(t, 2), b.Create(t, 3), b.Create(t, 4)}
	before := storetest.Stored(t, b.Pool)

	got := storetest.Claim(t, s, 3)
	after := storetest.Stored(t, b.Pool)
	want := slices.Clone(before)
	for i, task := range pending[:3] {
		want[3+i] = storetest.Moved(t, task, after[3+i], taskstore.Processing)
	}
	if !slices.Equal(after, want) {
		t.Errorf("stored\n%+v, want\n%+v", after, want)
	}
	if !slices.Equal(got, want[3:6]) {
		t.Errorf("claimed\n%+v, want the rows as stored\n%+v", got, want[3:6])
	}

	// The rest. Then nothing, which is not an error.
	rest, err := s.Claim(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "the rest", storetest.IDs(rest), pending[3].ID)
	none, err := s.Claim(t.Context(), 3)
	if len(none) != 0 || err != nil {
		t.Errorf("claimed %v, %v from nothing", none, err)
	}
}

func TestClaimBatchTakesOnlyThatBatch(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := b.Store
	var want []int64
	for i := range 4 {
		for _, other := range []taskstore.NewTask{
			{IntegrationID: 9, ClientID: 2, TemplateID: 3},
			{IntegrationID: 1, ClientID: 9, TemplateID: 3},
			{IntegrationID: 1, ClientID: 2, TemplateID: 9},
		} {
			if _, err := s.Create(t.Context(), other); err != nil {
				t.Fatal(err)
			}
		}
		task, err := s.Create(t.Context(), taskstore.NewTask{IntegrationID: 1, UserID: int64(i), ClientID: 2, TemplateID: 3})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, task.ID)
	}
	batch := taskstore.Batch{IntegrationID: 1, ClientID: 2, TemplateID: 3}
	for _, n := range []int{3, 1, 0} {
		got, err := s.ClaimBy(t.Context(), taskstore.ByBatch(batch), 3)
		if err != nil {
			t.Fatal(err)
		}
		storetest.WantIDs(t, "claimed", storetest.IDs(got), want[:n]...)
		want = want[n:]
		for _, task := range got {
			if row := storetest.StoredTask(t, b.Pool, task.ID); row != task || row.Status != taskstore.Processing {
				t.Errorf("claimed %+v, stored %+v", task, row)
			}
		}
	}
	storetest.WantIDs(t, "other batches", storetest.IDs(storetest.Claim(t, s, 12)),
		1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15)
}

func TestClaimLimits(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := b.Store
	b.CreateMany(t, 10_001)
	before := storetest.Stored(t, b.Pool)
	for _, n := range []int{-1, 0, 10_001} {
		_, err := s.Claim(t.Context(), n)
		storetest.WantError(t, err, taskstore.ErrInvalid)
		_, err = s.ClaimBy(t.Context(), taskstore.ByBatch(taskstore.Batch{}), n)
		storetest.WantError(t, err, taskstore.ErrInvalid)
	}
	if !slices.Equal(storetest.Stored(t, b.Pool), before) {
		t.Error("a refused claim changed rows")
	}
	storetest.Claim(t, s, 10_000)
}

// Whatever puts a task back, the next claim takes it before newer ones, at once.
func TestClaimTakesWhatWasPutBackFirst(t *testing.T) {
	t.Parallel()
	putBack := map[string]func(t *testing.T, s *taskstore.Store, task taskstore.Task) error{
		"Release": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
			return s.Release(t.Context(), task)
		},
		"Retry": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
			if err := s.Fail(t.Context(), task); err != nil {
				return err
			}
			_, err := s.Retry(t.Context(), task.ID)
			return err
		},
		"RequeueStale": func(t *testing.T, s *taskstore.Store, _ taskstore.Task) error {
			_, err := storetest.Requeue(t.Context(), s, 1)
			return err
		},
		"SetStatus": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
			_, err := s.SetStatus(t.Context(), task, taskstore.Pending)
			return err
		},
	}
	b := storetest.Setup(t)
	s := b.Store
	b.CreateMany(t, 100)
	next := int64(1)
	for name, back := range putBack {
		t.Log(name)
		ts := storetest.Claim(t, s, 3)
		storetest.WantIDs(t, "claimed", storetest.IDs(ts), next, next+1, next+2)
		storetest.Claim(t, s, 3)
		if err := back(t, s, ts[0]); err != nil {
			t.Fatal(err)
		}
		storetest.WantIDs(t, "claimed again", storetest.IDs(storetest.Claim(t, s, 2)), next, next+6)
		next += 7
		b.Exec(t, `UPDATE tasks SET status = 2 WHERE status = 1`)
	}
}

// The Store does not know when another program puts a task back, but finds it within a second.
func TestClaimFindsWhatOthersPutBack(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := b.Store
	b.CreateMany(t, 20_000)
	ts := storetest.Claim(t, s, 1)
	storetest.Claim(t, s, 1)
	b.Exec(t, `UPDATE tasks SET status = 0 WHERE id = $1`, ts[0].ID)
	for storetest.Claim(t, s, 1)[0].ID != ts[0].ID { // within a second, or the tasks run out
	}

	// The same where nothing else is pending.
	rest := storetest.One[int](t, b.Pool, `SELECT count(*) FROM tasks WHERE status = 0`)
	for rest > 0 {
		rest -= len(storetest.Claim(t, s, min(rest, 5000)))
	}
	b.Exec(t, `UPDATE tasks SET status = 0 WHERE id = $1`, ts[0].ID)
	var found []taskstore.Task
	for len(found) == 0 {
		var err error
		if found, err = s.Claim(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	storetest.WantIDs(t, "the only one", storetest.IDs(found), ts[0].ID)
}

func TestClaimInATransaction(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := b.Store
	b.CreateMany(t, 9)
	before := storetest.Stored(t, b.Pool)
	tx := b.Begin(t, pgx.ReadCommitted)
	first := storetest.Claim(t, s.WithTx(tx), 3)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(storetest.Stored(t, b.Pool), before) {
		t.Error("a claim that was rolled back changed rows")
	}
	storetest.WantConflict(t, s.Complete(t.Context(), first...), 1, 2, 3)

	tx = b.Begin(t, pgx.ReadCommitted)
	second := storetest.Claim(t, s.WithTx(tx), 3)
	storetest.WantIDs(t, "claimed after the rollback", storetest.IDs(second), 1, 2, 3)
	if err := s.WithTx(tx).Heartbeat(t.Context(), second); err != nil {
		t.Error(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "claimed after the commit", storetest.IDs(storetest.Claim(t, s, 3)), 4, 5, 6)
	if err := s.Complete(t.Context(), second...); err != nil {
		t.Errorf("a lease from a transaction that was committed: %v", err)
	}
}

// Claims pass by the tasks that another claim is taking.
func TestClaimsPassEachOther(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 5)
	tx := b.Begin(t, pgx.ReadCommitted)
	storetest.Claim(t, b.Store.WithTx(tx), 3)
	ts, err := b.Store.Claim(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "beside another claim", storetest.IDs(ts), 4, 5)
}

// Where the snapshot is older than another claim, the caller gets an error that says to start over.
func TestClaimInAStrictTransaction(t *testing.T) {
	t.Parallel()
	for _, level := range storetest.StrictLevels {
		b := storetest.Setup(t)
		b.CreateMany(t, 2)
		tx := b.Begin(t, level)
		if _, err := b.Store.WithTx(tx).Get(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		other := storetest.Claim(t, storetest.NewStore(b.Pool), 1) // by another program: it knows of no common mark
		_, err := b.Store.WithTx(tx).Claim(t.Context(), 1)
		storetest.WantError(t, err, taskstore.ErrConflict)
		if storetest.SQLState(err) != "40001" {
			t.Errorf("%s: SQLSTATE %q, want 40001: %v", level, storetest.SQLState(err), err)
		}
		if err := b.Store.Complete(t.Context(), other...); err != nil {
			t.Error(err)
		}
	}
}
