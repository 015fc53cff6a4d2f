package storetest

import (
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/taskstore"
)

// eachClaim runs f as a subtest with either kind of claim.
func eachClaim(t *testing.T, f func(t *testing.T, b *bundle, s *taskstore.Store)) {
	t.Helper()
	for _, kind := range []string{"locking", "optimistic"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			f(t, b, b.stores()[kind])
		})
	}
}

func TestClaimTakesTheOldestPending(t *testing.T) {
	t.Parallel()
	eachClaim(t, func(t *testing.T, b *bundle, s *taskstore.Store) {
		for _, st := range []taskstore.Status{taskstore.Completed, taskstore.Failed, taskstore.Processing} {
			b.in(t, st)
		}
		pending := []taskstore.Task{b.create(t, 1), b.create(t, 2), b.create(t, 3), b.create(t, 4)}
		before := stored(t, b.pool)

		got := claim(t, s, 3)
		after := stored(t, b.pool)
		want := slices.Clone(before)
		for i, task := range pending[:3] {
			want[3+i] = moved(t, task, after[3+i], taskstore.Processing)
		}
		if !slices.Equal(after, want) {
			t.Errorf("stored\n%+v, want\n%+v", after, want)
		}
		if !slices.Equal(got, want[3:6]) {
			t.Errorf("claimed\n%+v, want the rows as stored\n%+v", got, want[3:6])
		}

		// The rest, and then nothing, which is no error.
		rest, err := s.Claim(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		wantIDs(t, "the rest", ids(rest), pending[3].ID)
		none, err := s.Claim(t.Context(), 3)
		if len(none) != 0 || err != nil {
			t.Errorf("claimed %v, %v from nothing", none, err)
		}
	})
}

func TestClaimBatchTakesOnlyThatBatch(t *testing.T) {
	t.Parallel()
	eachClaim(t, func(t *testing.T, b *bundle, s *taskstore.Store) {
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
			got, err := s.ClaimBatch(t.Context(), batch, 3)
			if err != nil {
				t.Fatal(err)
			}
			wantIDs(t, "claimed", ids(got), want[:n]...)
			want = want[n:]
			for _, task := range got {
				if row := storedTask(t, b.pool, task.ID); row != task || row.Status != taskstore.Processing {
					t.Errorf("claimed %+v, stored %+v", task, row)
				}
			}
		}
		wantIDs(t, "other batches", ids(claim(t, s, 12)), 1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15)
	})
}

func TestClaimLimits(t *testing.T) {
	t.Parallel()
	eachClaim(t, func(t *testing.T, b *bundle, s *taskstore.Store) {
		b.createMany(t, 10_001)
		before := stored(t, b.pool)
		for _, n := range []int{-1, 0, 10_001} {
			_, err := s.Claim(t.Context(), n)
			wantError(t, err, taskstore.ErrInvalid)
			_, err = s.ClaimBatch(t.Context(), taskstore.Batch{}, n)
			wantError(t, err, taskstore.ErrInvalid)
		}
		if !slices.Equal(stored(t, b.pool), before) {
			t.Error("a refused claim changed rows")
		}
		claim(t, s, 10_000)
	})
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
			_, err := s.RequeueStale(t.Context(), 0, 1)
			return err
		},
		"SetStatus": func(t *testing.T, s *taskstore.Store, task taskstore.Task) error {
			_, err := s.SetStatus(t.Context(), task, taskstore.Pending)
			return err
		},
	}
	eachClaim(t, func(t *testing.T, b *bundle, s *taskstore.Store) {
		b.createMany(t, 100)
		next := int64(1)
		for name, back := range putBack {
			t.Log(name)
			ts := claim(t, s, 3)
			wantIDs(t, "claimed", ids(ts), next, next+1, next+2)
			claim(t, s, 3)
			if err := back(t, s, ts[0]); err != nil {
				t.Fatal(err)
			}
			wantIDs(t, "claimed again", ids(claim(t, s, 2)), next, next+6)
			next += 7
			b.exec(t, `UPDATE tasks SET status = 2 WHERE status = 1`)
		}
	})
}

// What another program puts back the Store cannot know of; it finds it all the same.
func TestClaimFindsWhatOthersPutBack(t *testing.T) {
	t.Parallel()
	eachClaim(t, func(t *testing.T, b *bundle, s *taskstore.Store) {
		b.createMany(t, 20_000)
		ts := claim(t, s, 1)
		claim(t, s, 1)
		b.exec(t, `UPDATE tasks SET status = 0 WHERE id = $1`, ts[0].ID)
		for claim(t, s, 1)[0].ID != ts[0].ID { // within a second, or the tasks run out
		}

		// And a claim that comes back short has looked everywhere.
		rest := one[int](t, b.pool, `SELECT count(*) FROM tasks WHERE status = 0`)
		for rest > 0 {
			rest -= len(claim(t, s, min(rest, 5000)))
		}
		b.exec(t, `UPDATE tasks SET status = 0 WHERE id = $1`, ts[0].ID)
		wantIDs(t, "the only one", ids(claim(t, s, 1)), ts[0].ID)
	})
}

func TestClaimInATransaction(t *testing.T) {
	t.Parallel()
	eachClaim(t, func(t *testing.T, b *bundle, s *taskstore.Store) {
		b.createMany(t, 9)
		before := stored(t, b.pool)
		tx := b.begin(t, pgx.ReadCommitted)
		first := claim(t, s.WithTx(tx), 3)
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(stored(t, b.pool), before) {
			t.Error("a claim that was rolled back changed rows")
		}
		wantConflict(t, s.Complete(t.Context(), first...), 1, 2, 3)

		tx = b.begin(t, pgx.ReadCommitted)
		second := claim(t, s.WithTx(tx), 3)
		wantIDs(t, "claimed after the rollback", ids(second), 1, 2, 3)
		if err := s.WithTx(tx).Heartbeat(t.Context(), second); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, "claimed after the commit", ids(claim(t, s, 3)), 4, 5, 6)
		if err := s.Complete(t.Context(), second...); err != nil {
			t.Errorf("a lease from a transaction that was committed: %v", err)
		}
	})
}

// Claims with locks pass by the tasks that another one is taking.
func TestClaimsPassEachOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.createMany(t, 5)
	tx := b.begin(t, pgx.ReadCommitted)
	claim(t, b.store.WithTx(tx), 3)
	ts, err := b.store.Claim(t.Context(), 5)
	if err != nil {
		t.Fatal(err)
	}
	wantIDs(t, "beside another claim", ids(ts), 4, 5)
}

// Claims without locks wait for the other one's end, and take what it left.
func TestOptimisticClaimsWait(t *testing.T) {
	t.Parallel()
	for _, commit := range []bool{true, false} {
		b := setup(t)
		s := b.stores()["optimistic"]
		b.createMany(t, 5)
		tx := b.begin(t, pgx.ReadCommitted)
		claim(t, s.WithTx(tx), 3)
		var ts []taskstore.Task
		done := start(func() (err error) {
			ts, err = s.Claim(t.Context(), 4)
			return err
		})
		b.waitForBlocked(t, 1)
		end := tx.Rollback
		want := []int64{1, 2, 3, 4}
		if commit {
			end, want = tx.Commit, want[3:]
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantIDs(t, "after another claim", ids(ts), want...)
	}
}

// Where the snapshot is older than another's claim, the caller has to start over, and is told so.
func TestClaimInAStrictTransaction(t *testing.T) {
	t.Parallel()
	for _, level := range strictLevels {
		b := setup(t)
		b.createMany(t, 2)
		tx := b.begin(t, level)
		if _, err := b.store.WithTx(tx).Get(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		other := claim(t, taskstore.New(b.pool), 1) // by another program: it knows of no common mark
		_, err := b.store.WithTx(tx).Claim(t.Context(), 1)
		wantError(t, err, taskstore.ErrConflict)
		if sqlState(err) != "40001" {
			t.Errorf("%s: SQLSTATE %q, want 40001: %v", level, sqlState(err), err)
		}
		if err := b.store.Complete(t.Context(), other...); err != nil {
			t.Error(err)
		}
	}
}
