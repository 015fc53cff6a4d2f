package behaviour

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// queued takes a lock that the store's statements wait for, so that calls gather behind the first, and
// returns the function that frees it.
func queued(t *testing.T, b *storetest.Bundle, lock string) (free func()) {
	t.Helper()
	tx := b.Begin(t, "")
	if _, err := tx.Exec(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Concurrent creates share statements, each caller gets its own task, and the one whose row a
// constraint refuses gets the error that it would have had alone.
func TestGroupCommitKeepsCallsApart(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, "ALTER TABLE tasks ADD CONSTRAINT no_bad CHECK (argument <> 'bad')")
	const callers = 64
	created := make([]taskstore.Task, callers)
	errs := make([]error, callers)
	var wg sync.WaitGroup
	free := queued(t, b, "LOCK TABLE tasks IN SHARE MODE")
	for i := range callers {
		wg.Go(func() {
			n := storetest.NewTask(i)
			if i%10 == 7 {
				n.Argument = "bad"
			}
			created[i], errs[i] = b.Store.Create(t.Context(), n)
		})
	}
	b.WaitForBlocked(t, 1) // the first flies alone, the others gather: no second statement is sent
	free()
	wg.Wait()
	for i := range callers {
		if i%10 == 7 {
			if !errors.Is(errs[i], taskstore.ErrInvalid) || storetest.SQLState(errs[i]) != "23514" {
				t.Errorf("caller %d with a bad row got %v, want ErrInvalid by 23514", i, errs[i])
			}
			continue
		}
		if errs[i] != nil {
			t.Errorf("caller %d: %v", i, errs[i])
			continue
		}
		stored, err := b.Store.Get(t.Context(), created[i].ID)
		if err != nil || stored != created[i] || stored.Argument != storetest.NewTask(i).Argument {
			t.Errorf("caller %d got %+v, stored is %+v, %v", i, created[i], stored, err)
		}
	}
}

// Whatever one caller's row makes the server give up - here a trigger's own error, a row that is locked - is
// that caller's error alone.
func TestGroupCommitKeepsFaultsApart(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'not this one'; END $$`)
	b.Exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON tasks FOR EACH ROW WHEN (NEW.argument = 'bad') EXECUTE FUNCTION refuse()")
	b.CreateMany(t, 8)
	pool := b.Connect(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["lock_timeout"] = "100ms" })
	s := taskstore.New(pool, taskstore.WithGroupCommit())
	leases := storetest.Claim(t, s, 8)
	locked := b.Begin(t, "")
	if _, err := locked.Exec(t.Context(), "SELECT FROM tasks WHERE id = $1 FOR UPDATE", leases[0].ID); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	check := func(i int, bad string, call func() error) {
		wg.Go(func() {
			want := ""
			if i == 0 {
				want = bad
			}
			if err := call(); storetest.SQLState(err) != want {
				t.Errorf("caller %d got %v, want SQLSTATE %q", i, err, want)
			}
		})
	}
	for i := range leases {
		check(i, "P0001", func() error {
			_, err := s.Create(t.Context(), taskstore.NewTask{Argument: map[bool]string{true: "bad", false: "good"}[i == 0]})
			return err
		})
		check(i, "55P03", func() error { return s.Complete(t.Context(), leases[i]) })
	}
	wg.Wait()
	if good := storetest.One[int](t, b.Admin, "SELECT count(*) FROM tasks WHERE argument = 'good'"); good != 7 {
		t.Errorf("%d tasks were created, want 7", good)
	}
}

// A statement that hangs holds up those who gathered behind it for a second, not for as long as it hangs.
func TestGroupCommitGoesAroundWhatHangs(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$`)
	b.Exec(t, "CREATE TRIGGER gate BEFORE INSERT ON tasks FOR EACH ROW WHEN (NEW.argument = 'hangs') EXECUTE FUNCTION gate()")
	free := queued(t, b, "SELECT pg_advisory_xact_lock(1)")
	hangs := storetest.Start(func() error {
		_, err := b.Store.Create(t.Context(), taskstore.NewTask{Argument: "hangs"})
		return err
	})
	b.WaitForBlocked(t, 1)
	for range 3 {
		if _, err := b.Store.Create(t.Context(), storetest.NewTask(1)); err != nil {
			t.Error(err)
		}
	}
	free()
	if err := <-hangs; err != nil {
		t.Error(err)
	}
}

// panics is a DB that panics in a statement for several tasks, once the first one is out of the way.
type panics struct {
	*pgxpool.Pool
	first chan struct{}
}

func (p panics) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	<-p.first
	return p.Pool.QueryRow(ctx, sql, args...)
}

func (p panics) Query(context.Context, string, ...any) (pgx.Rows, error) { panic("of the DB") }

// A DB that panics does so in its callers, each of them, where they can recover, and the Store goes on.
func TestGroupCommitPanicsInTheCallers(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for range 1000 { // until calls have gathered behind the first one
		db := panics{b.Pool, make(chan struct{})}
		s := taskstore.New(db)
		var wg sync.WaitGroup
		var panicked, created atomic.Int64
		for i := range 8 {
			wg.Go(func() {
				defer func() {
					if r := recover(); r == "of the DB" {
						panicked.Add(1)
					}
				}()
				if _, err := s.Create(t.Context(), storetest.NewTask(i)); err != nil {
					t.Error(err)
				}
				created.Add(1)
			})
		}
		runtime.Gosched()
		close(db.first)
		wg.Wait()
		if panicked.Load()+created.Load() != 8 || created.Load() == 0 {
			t.Fatalf("%d panicked, %d created", panicked.Load(), created.Load())
		}
		if _, err := s.Create(t.Context(), storetest.NewTask(9)); err != nil {
			t.Fatal(err)
		}
		if panicked.Load() > 0 {
			return
		}
	}
	t.Error("no statement was shared: nothing here could fail")
}

// Without group commit each call has a statement of its own, with its own context.
func TestWithoutGroupCommit(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	s := taskstore.New(panics{b.Pool, closed()}, taskstore.WithoutGroupCommit()) // it panics at a shared one
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			if _, err := s.Create(t.Context(), storetest.NewTask(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// A caller that gives up returns at once, takes nobody with it, and has created nothing if its
// statement had not left.
func TestGroupCommitCancelledCaller(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	free := queued(t, b, "LOCK TABLE tasks IN SHARE MODE")
	var wg sync.WaitGroup
	create := func(ctx context.Context, arg string) *error {
		err := new(error)
		wg.Go(func() { _, *err = b.Store.Create(ctx, taskstore.NewTask{Argument: arg}) })
		return err
	}
	first := create(t.Context(), "first")
	b.WaitForBlocked(t, 1)

	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error, 1)
	go func() {
		_, err := b.Store.Create(ctx, taskstore.NewTask{Argument: "gave up"})
		gaveUp <- err
	}()
	stays := create(t.Context(), "stays")
	cancel()
	if err := <-gaveUp; !errors.Is(err, context.Canceled) { // while the others are still blocked
		t.Errorf("the cancelled caller got %v, want context.Canceled", err)
	}
	free()
	wg.Wait()
	if *first != nil || *stays != nil {
		t.Errorf("the other callers got %v and %v", *first, *stays)
	}
	if n, err := b.Store.Count(t.Context(), taskstore.Filter{}); n != 2 || err != nil {
		t.Errorf("%d tasks, %v; want those of the two callers that stayed", n, err)
	}
}

// A statement under way for several callers goes on when one of them gives up, and is cancelled when
// all have.
func TestGroupCommitCancelledInFlight(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all=%v", all), func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			// The first statement passes the trigger, the shared one waits in it.
			b.Exec(t, `CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
				BEGIN PERFORM pg_advisory_xact_lock(CASE NEW.argument WHEN 'first' THEN 1 ELSE 2 END); RETURN NEW; END $$`)
			b.Exec(t, "CREATE TRIGGER gate BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION gate()")
			freeFirst := queued(t, b, "SELECT pg_advisory_xact_lock(1)")
			freeShared := queued(t, b, "SELECT pg_advisory_xact_lock(2)")

			var wg sync.WaitGroup
			var errs [3]error
			var cancels [3]context.CancelFunc
			for i, arg := range []string{"first", "a", "b"} {
				var ctx context.Context
				ctx, cancels[i] = context.WithCancel(t.Context())
				defer cancels[i]()
				wg.Go(func() { _, errs[i] = b.Store.Create(ctx, taskstore.NewTask{Argument: arg}) })
				if i == 0 {
					b.WaitForBlocked(t, 1)
				}
			}
			freeFirst()
			b.WaitForBlocked(t, 1)
			cancels[1]()
			if all {
				cancels[2]()
				b.WaitFor(t, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock')`)
			}
			freeShared()
			wg.Wait()
			if errs[0] != nil || !errors.Is(errs[1], context.Canceled) || (errs[2] != nil) != all {
				t.Errorf("got %v", errs)
			}
		})
	}
}

// With group commit two calls that complete one task still exclude each other, and heartbeats renew in
// place.
func TestGroupCommitOfLeases(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	store := taskstore.New(b.Pool, taskstore.WithGroupCommit())
	b.CreateMany(t, 100)
	tasks, err := store.Claim(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range tasks {
		wg.Go(func() {
			before := tasks[i].UpdatedAt
			if err := store.Heartbeat(t.Context(), tasks[i:i+1]); err != nil || tasks[i].UpdatedAt <= before {
				t.Errorf("heartbeat of task %d: %v, version %d after %d", tasks[i].ID, err, tasks[i].UpdatedAt, before)
			}
		})
	}
	wg.Wait()
	var mu sync.Mutex
	won := make(map[int64]int)
	for _, task := range tasks {
		for _, finish := range []func(context.Context, ...taskstore.Task) error{store.Complete, store.Complete, store.Fail} {
			wg.Go(func() {
				err := finish(t.Context(), task)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won[task.ID]++
				} else if !errors.Is(err, taskstore.ErrConflict) || strings.Contains(err.Error(), "two calls") {
					t.Errorf("task %d: %v", task.ID, err)
				}
			})
		}
	}
	wg.Wait()
	for _, task := range tasks {
		if won[task.ID] != 1 {
			t.Errorf("task %d was finished %d times", task.ID, won[task.ID])
		}
	}
}

// A single connection and a caller's transaction send each call by itself.
func TestNoGroupCommitInATransaction(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	tx := b.Begin(t, "")
	if _, err := b.Store.WithTx(tx).Create(t.Context(), storetest.NewTask(1)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := b.Store.Count(t.Context(), taskstore.Filter{}); n != 0 || err != nil {
		t.Errorf("%d tasks after a rollback, %v", n, err)
	}
	pool := b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	var wg sync.WaitGroup
	for i := range 20 { // one connection is enough: nobody waits for a second one
		wg.Go(func() {
			if _, err := taskstore.New(pool).Create(t.Context(), storetest.NewTask(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
