package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A pending task that a constraint or trigger of somebody else does not let be changed is logged and passed by. All
// others are claimed. In a caller's transaction the error aborts all, so it comes through.
func TestPoisonousTask(t *testing.T) {
	t.Parallel()
	rules := map[string]string{
		"23514": houseRule,
		"P0001": refuse + `CREATE TRIGGER refuse BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION refuse()`,
	}
	claims := map[string]func(*taskstore.Store, int) ([]taskstore.Task, error){
		"Claim": func(s *taskstore.Store, n int) ([]taskstore.Task, error) { return s.Claim(t.Context(), n) },
		"ClaimBy": func(s *taskstore.Store, n int) ([]taskstore.Task, error) {
			return s.ClaimBy(t.Context(), taskstore.ByBatch(sceneBatch), n)
		},
		"ClaimFair": func(s *taskstore.Store, n int) ([]taskstore.Task, error) { return s.ClaimFair(t.Context(), n) },
		"Exchange": func(s *taskstore.Store, n int) ([]taskstore.Task, error) {
			return s.Exchange(t.Context(), taskstore.Ended{}, taskstore.Filter{}, n)
		},
	}
	for code, rule := range rules {
		for name, claim := range claims {
			t.Run(name+" "+code, func(t *testing.T) {
				t.Parallel()
				b := storetest.Setup(t)
				const n = 100
				ts := make([]taskstore.NewTask, n)
				for i := range ts {
					ts[i] = taskstore.NewTask{IntegrationID: 1, ClientID: 1, TemplateID: 1}
				}
				ts[41].Argument = poison
				ids, err := b.Store.CreateMany(t.Context(), ts)
				if err != nil {
					t.Fatal(err)
				}
				b.Exec(t, rule)

				tx := b.Begin(t, pgx.ReadCommitted)
				if got, err := claim(b.Store.WithTx(tx), n); storetest.SQLState(err) != code || len(got) > 0 {
					t.Errorf("in a transaction: %d tasks, %v", len(got), err)
				}
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}

				var log bytes.Buffer
				s := storetest.NewStore(b.Pool, taskstore.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
				got, err := claim(s, n)
				if err != nil {
					t.Fatal(err)
				}
				storetest.WantIDs(t, "the others", storetest.IDs(got), slices.Delete(slices.Clone(ids), 41, 42)...)
				if row := storetest.StoredTask(t, b.Admin, ids[41]); row.Status != taskstore.Pending {
					t.Errorf("the poisonous task is %v", row.Status)
				}
				var logged struct{ Task int64 }
				if err := json.Unmarshal(log.Bytes(), &logged); err != nil || logged.Task != ids[41] {
					t.Errorf("%v, logged %s; want one line for task %d", err, &log, ids[41])
				}

				log.Reset()
				fresh, err := b.Store.Create(t.Context(), ts[0])
				if err != nil {
					t.Fatal(err)
				}
				got, err = claim(s, n)
				if err != nil {
					t.Fatal(err)
				}
				storetest.WantIDs(t, "after that", storetest.IDs(got), fresh.ID)
				if log.Len() > 0 {
					t.Errorf("logged again: %s", &log)
				}
			})
		}
	}
}

// A claim of several statements may break between them. What it has claimed by then is the caller's, without an
// error, which would say that nothing was written.
func TestClaimThatBreaksHalfWay(t *testing.T) {
	t.Parallel()
	claims := map[string]func(*scene) ([]taskstore.Task, error){
		"Claim":     func(sc *scene) ([]taskstore.Task, error) { return sc.store.Claim(t.Context(), 3) },
		"ClaimFair": func(sc *scene) ([]taskstore.Task, error) { return sc.store.ClaimFair(t.Context(), 3) },
		"Exchange": func(sc *scene) ([]taskstore.Task, error) {
			return sc.store.Exchange(t.Context(), taskstore.Ended{}, taskstore.Filter{}, 3)
		},
	}
	for name, claim := range claims {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			p := newProxy(t, b.URL)
			// All three, the first, the other two, the second, the third: the second one is poisonous.
			for passed, want := range []int{0, 0, 1, 1, 1} {
				t.Run(fmt.Sprint("statement ", passed), func(t *testing.T) {
					breakClaim(t, newScene(t, b, p, "pool", methodNamed(t, "Claim")), claim, passed, want)
				})
			}
		})
	}
}

// breakClaim breaks a claim after so many of its statements, when it has claimed so many tasks.
func breakClaim(t *testing.T, sc *scene, claim func(*scene) ([]taskstore.Task, error), passed, want int) {
	t.Helper()
	sc.open(t)
	sc.rule(t, houseRule, dropHouseRule)
	f := sc.next(fault{statement: "ClaimPendingIDs", skip: passed})
	got, err := claim(sc)
	sc.heal()
	if !f.done() {
		t.Error("nothing has happened to that statement")
	}
	held := slices.DeleteFunc(storetest.Stored(t, sc.Admin), func(row taskstore.Task) bool {
		return row.Status != taskstore.Processing
	})
	if len(held) != want || !slices.Equal(got, held) {
		t.Errorf("returned %+v, and %+v are in processing", got, held)
	}
	if failed := err != nil; failed != (want == 0) {
		t.Errorf("%d tasks, %v", len(got), err)
	}
}

// So with a fair claim that looks whose turn is next when it has some already.
func TestFairClaimThatBreaksHalfWay(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := newProxy(t, b.URL)
	sc := newScene(t, b, p, "pool", methodNamed(t, "ClaimFair"))
	sc.open(t)
	first, err := sc.store.ClaimFair(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f := p.next(fault{statement: "ListPendingIntegrations"})
	more, err := sc.store.ClaimFair(t.Context(), 3)
	p.heal()
	if !f.done() || (err == nil) != (len(more) > 0) {
		t.Errorf("claimed %d tasks, %v", len(more), err)
	}
	held := storetest.One[int](t, b.Admin, `SELECT count(*) FROM tasks WHERE status = 1`)
	if held != len(first)+len(more) {
		t.Errorf("%d tasks are in processing; returned were %d and %d", held, len(first), len(more))
	}
}

// So with a fair claim that looks again for tasks of one integration when it has some of another.
func TestFairClaimThatBreaksBetweenIntegrations(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := newProxy(t, b.URL)
	sc := newScene(t, b, p, "pool", methodNamed(t, "ClaimFair"))
	sc.open(t)
	b.Exec(t, `
		DELETE FROM tasks;
		INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		SELECT i, 1, 1, 1, 1, '' FROM generate_series(1, 2) AS i, generate_series(1, 100)`)
	claim := func() []taskstore.Task {
		ts, err := sc.store.ClaimFair(t.Context(), 2)
		if (err == nil) != (len(ts) > 0) {
			t.Errorf("claimed %d tasks, %v", len(ts), err)
		}
		return ts
	}
	claimed := len(claim())
	b.Exec(t, `DELETE FROM tasks WHERE integration_id = 1 AND status = 0`)
	f := p.next(fault{statement: "ClaimTasksByIntegration"})
	claimed += len(claim())
	p.heal()
	if held := storetest.One[int](t, b.Admin, `SELECT count(*) FROM tasks WHERE status = 1`); held != claimed {
		t.Errorf("%d tasks are in processing, and %d were returned; the fault came: %v", held, claimed, f.done())
	}
}
