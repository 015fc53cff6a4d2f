package access

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// An exchange waits for locks for a quarter of a second at most, or less where the session says so. Then the session's
// own limit holds again. A caller's transaction has the caller's limit.
func TestExchangeLimitsItsWaitForLocks(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `
		CREATE FUNCTION show_limit() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			NEW.argument := current_setting('lock_timeout');
			RETURN NEW;
		END $$;
		CREATE TRIGGER show_limit BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION show_limit()`)
	check := func(t *testing.T, db taskstore.DB, want string) {
		t.Helper()
		s := taskstore.New(db)
		if _, err := s.Create(t.Context(), storetest.NewTask(0)); err != nil {
			t.Fatal(err)
		}
		own := storetest.One[string](t, db, `SHOW lock_timeout`)
		ts, err := s.Claim(t.Context(), 1)
		if err != nil || len(ts) != 1 {
			t.Fatalf("claimed %d tasks: %v", len(ts), err)
		}
		if _, err := s.Exchange(t.Context(), taskstore.Ended{Completed: ts}, taskstore.Filter{}, 1); err != nil {
			t.Fatal(err)
		}
		if got := storetest.StoredTask(t, db, ts[0].ID).Argument; got != want {
			t.Errorf("with lock_timeout %s the exchange has %s, want %s", own, got, want)
		}
		if now := storetest.One[string](t, db, `SHOW lock_timeout`); now != own {
			t.Errorf("lock_timeout was %s, and is %s", own, now)
		}
	}
	limits := map[string]string{
		"0": "250ms", "100ms": "100ms", "250ms": "250ms", "251ms": "250ms", "1s": "250ms",
		"1min": "250ms", "2h": "250ms", "1d": "250ms",
	}
	for name, mode := range execModes {
		t.Run(name, func(t *testing.T) {
			pool := b.Connect(t, func(c *pgxpool.Config) {
				c.MaxConns, c.ConnConfig.DefaultQueryExecMode = 1, mode
			})
			for own, want := range limits {
				storetest.One[string](t, pool, `SELECT set_config('lock_timeout', $1, false)`, own)
				check(t, pool, want)
			}
		})
	}
	for name, db := range b.Single(t) {
		t.Run(name, func(t *testing.T) {
			for own, want := range limits {
				storetest.One[string](t, db, `SELECT set_config('lock_timeout', $1, false)`, own)
				check(t, db, want)
			}
			for _, sql := range []string{`BEGIN`, `SET LOCAL lock_timeout = '2s'`} {
				if _, err := db.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			check(t, db, "2s")
			if _, err := db.Exec(t.Context(), `ROLLBACK`); err != nil {
				t.Fatal(err)
			}
		})
	}
	p := b.Through(t, 1, 0)
	for _, mode := range p.Modes() { //nolint:paralleltest // they share one connection of PgBouncer
		t.Run("PgBouncer "+mode, func(t *testing.T) {
			check(t, p.Pool(t, mode, 1), "250ms")
		})
	}
}
