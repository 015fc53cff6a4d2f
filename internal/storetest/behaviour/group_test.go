package behaviour

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// apart is how many calls at once go alone where there are connections for them. roomy returns a Store that has more.
const apart = 16

func roomy(t *testing.T, b *storetest.Bundle) *taskstore.Store {
	t.Helper()
	storetest.NotOnCitus(t, "creates share nothing there")
	return storetest.NewStore(b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 2 * apart }))
}

// waitForShared waits until a shared statement waits for a lock behind calls that went alone.
func waitForShared(t *testing.T, b *storetest.Bundle) {
	t.Helper()
	b.WaitFor(t, `SELECT coalesce(bool_or(query LIKE '%CreateTasksShared%'), false) FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'`)
}

// Concurrent creates share statements, each caller gets its own task, and the one whose row a
// constraint refuses gets the error that it would have had alone.
func TestGroupCommitKeepsCallsApart(t *testing.T) {
	t.Parallel()
	for name, isBad := range map[string]func(int) bool{
		"all are good": func(int) bool { return false },
		"some are bad": func(i int) bool { return i%10 == 7 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.Exec(t, "ALTER TABLE tasks ADD CONSTRAINT no_bad CHECK (argument <> 'bad')")
			const callers = 64
			s := roomy(t, b)
			created := make([]taskstore.Task, callers)
			errs := make([]error, callers)
			var wg sync.WaitGroup
			free := queued(t, b, "LOCK TABLE tasks IN SHARE MODE")
			for i := range callers {
				wg.Go(func() {
					n := storetest.NewTask(i)
					if isBad(i) {
						n.Argument = "bad"
					}
					created[i], errs[i] = s.Create(t.Context(), n)
				})
			}
			waitForShared(t, b)
			free()
			wg.Wait()
			for i := range callers {
				if isBad(i) {
					if !errors.Is(errs[i], taskstore.ErrInvalid) || storetest.SQLState(errs[i]) != "23514" {
						t.Errorf("caller %d with a bad row got %v, want ErrInvalid by 23514", i, errs[i])
					}
					continue
				}
				stored, err := b.Store.Get(t.Context(), created[i].ID)
				if errs[i] != nil || err != nil || stored != created[i] || stored.Argument != storetest.NewTask(i).Argument {
					t.Errorf("caller %d got %+v, %v, stored is %+v, %v", i, created[i], errs[i], stored, err)
				}
			}
			statements := storetest.One[int](t, b.Admin, "SELECT count(DISTINCT xmin::text) FROM tasks")
			if !isBad(7) && statements > callers/2 {
				t.Errorf("%d statements created %d tasks: none was shared", statements, callers)
			}
		})
	}
}

// An error that one caller's row causes in the server, here by a trigger, is that caller's error alone.
func TestGroupCommitKeepsFaultsApart(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN RAISE EXCEPTION 'not this one'; END $$`)
	b.Exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON tasks "+
		"FOR EACH ROW WHEN (NEW.argument = 'bad') EXECUTE FUNCTION refuse()")
	s := roomy(t, b)
	var wg sync.WaitGroup
	free := queued(t, b, "LOCK TABLE tasks IN SHARE MODE")
	for i := range 64 {
		wg.Go(func() {
			argument, want := "good", ""
			if i == 40 {
				argument, want = "bad", "P0001"
			}
			if _, err := s.Create(t.Context(), taskstore.NewTask{Argument: argument}); storetest.SQLState(err) != want {
				t.Errorf("caller %d got %v, want SQLSTATE %q", i, err, want)
			}
		})
	}
	waitForShared(t, b)
	free()
	wg.Wait()
	if good := storetest.One[int](t, b.Admin, "SELECT count(*) FROM tasks WHERE argument = 'good'"); good != 63 {
		t.Errorf("%d tasks were created, want 63", good)
	}
}

// Statements that hang do not hold up the calls that arrive behind them.
func TestGroupCommitGoesAroundWhatHangs(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$`)
	b.Exec(t, "CREATE TRIGGER gate BEFORE INSERT ON tasks "+
		"FOR EACH ROW WHEN (NEW.argument = 'hangs') EXECUTE FUNCTION gate()")
	free := queued(t, b, "SELECT pg_advisory_xact_lock(1)")
	s := roomy(t, b)
	var hangs []<-chan error
	for n := range apart + 4 {
		hangs = append(hangs, storetest.Start(func() error {
			_, err := s.Create(t.Context(), taskstore.NewTask{Argument: "hangs"})
			return err
		}))
		b.WaitForBlocked(t, n+1) // or it might share a statement with one of those behind it
	}
	for range 3 {
		if _, err := s.Create(t.Context(), storetest.NewTask(1)); err != nil {
			t.Error(err)
		}
	}
	free()
	for _, hang := range hangs {
		if err := <-hang; err != nil {
			t.Error(err)
		}
	}
}

// A statement under way for several callers goes on when one of them gives up, and is cancelled when all have. A
// caller that gave up does not know whether it took effect.
func TestGroupCommitCancelledInFlight(t *testing.T) {
	t.Parallel()
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all=%v", all), func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			s := roomy(t, b)
			free := queued(t, b, "LOCK TABLE tasks IN SHARE MODE")
			var wg sync.WaitGroup
			for range apart {
				wg.Go(func() {
					if _, err := s.Create(t.Context(), storetest.NewTask(0)); err != nil {
						t.Error(err)
					}
				})
			}
			b.WaitForBlocked(t, apart)
			var errs [8]error
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for i := range errs {
				mine := ctx
				if i == 0 && !all {
					mine = t.Context()
				}
				wg.Go(func() { _, errs[i] = s.Create(mine, storetest.NewTask(i)) })
			}
			waitForShared(t, b)
			cancel()
			if all {
				b.WaitFor(t, `SELECT count(*) = $1 FROM pg_stat_activity
					WHERE datname = current_database() AND wait_event_type = 'Lock'`, apart)
			}
			free()
			wg.Wait()
			for i, err := range errs {
				if i == 0 && !all {
					if err != nil {
						t.Errorf("the caller that stayed got %v", err)
					}
				} else if !errors.Is(err, context.Canceled) {
					t.Errorf("caller %d gave up and got %v", i, err)
				}
			}
		})
	}
}

// A hook that sees the context of each call, such as one that sets a tenant, keeps calls apart unless told otherwise.
func TestGroupCommitIsOffBehindHooks(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "a trigger sees no setting of the session, which is on the coordinator")
	b := storetest.Setup(t)
	type tenant struct{}
	pool := b.Connect(t, func(c *pgxpool.Config) {
		c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			_, err := conn.Exec(ctx, "SELECT set_config('app.tenant', $1, false)", fmt.Sprint(ctx.Value(tenant{})))
			return true, err
		}
	})
	b.Exec(t, `CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN NEW.argument := current_setting('app.tenant'); RETURN NEW; END $$`)
	b.Exec(t, "CREATE TRIGGER stamp BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION stamp()")
	s := storetest.NewStore(pool)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			task, err := s.Create(context.WithValue(t.Context(), tenant{}, i), storetest.NewTask(i))
			if err != nil || task.Argument != fmt.Sprint(i) {
				t.Errorf("tenant %d got the task of tenant %s, %v", i, task.Argument, err)
			}
		})
	}
	wg.Wait()
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
			if _, err := storetest.NewStore(pool).Create(t.Context(), storetest.NewTask(i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
