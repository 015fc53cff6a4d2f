package behaviour

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// hand is what others have done to the table, and what creates do then.
type hand struct {
	sql   string
	drops func(user int64) bool // the rows that are refused; nil: none
	many  bool                  // whether CreateMany and creates with a key are served where no row is dropped
}

func someUsers(user int64) bool { return user/10%4 == 1 }
func allUsers(int64) bool       { return true }

var hands = map[string]hand{
	"a trigger drops some rows": {
		trigger("RETURN CASE WHEN NEW.user_id / 10 % 4 = 1 THEN NULL ELSE NEW END"), someUsers, true,
	},
	"a trigger drops all rows":  {trigger("RETURN NULL"), allUsers, true},
	"a trigger sets the id":     {trigger("NEW.id := 1000000 + NEW.user_id; RETURN NEW"), nil, false},
	"a trigger draws the id":    {trigger("NEW.id := nextval('tasks_id_seq'); RETURN NEW"), nil, false},
	"a trigger turns ids round": {trigger("NEW.id := 1000000 - NEW.id; RETURN NEW"), nil, false},
	"a trigger changes the content": {
		trigger("NEW.argument := 'of ' || NEW.user_id; NEW.account_id := 0; RETURN NEW"), nil, true,
	},
	"ids go down": {`ALTER SEQUENCE tasks_id_seq INCREMENT -1
		MINVALUE 1 MAXVALUE 1000000 START 1000000 RESTART`, nil, true},
	"ids go round": {"ALTER SEQUENCE tasks_id_seq MAXVALUE 100000 CYCLE RESTART 99950", nil, true},
	"ids go down in leaps": {`ALTER SEQUENCE tasks_id_seq INCREMENT -7
		MINVALUE -2000000 MAXVALUE 1000 START 1000 RESTART CACHE 20`, nil, true},
	"ids are an identity": {`ALTER TABLE tasks ALTER id DROP DEFAULT;
		DROP SEQUENCE tasks_id_seq;
		ALTER TABLE tasks ALTER id ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME tasks_id_seq);
		GRANT USAGE ON SEQUENCE tasks_id_seq TO PUBLIC`, nil, true},
}

func trigger(body string) string {
	return `CREATE FUNCTION foreign_hand() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ` + body + `; END $$;
		CREATE TRIGGER foreign_hand BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION foreign_hand()`
}

// Whatever others do to the table, a caller gets its own row as stored or an error that says why, and of a call that
// failed nothing is stored. A row is known by its user, which nobody here changes.
func TestCreatesUnderForeignHands(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "a foreign trigger sees shards, and CreateMany does not look at what it made of the rows")
	for name, h := range hands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.Exec(t, h.sql)
			next := 0
			fresh := func(n int, key string) []taskstore.NewTask {
				ts := make([]taskstore.NewTask, n)
				for i := range ts {
					ts[i] = storetest.NewTask(next)
					if key != "" {
						ts[i].Key = fmt.Sprint(key, next)
					}
					next++
				}
				return ts
			}
			h.createEach(t, b, fresh(12, ""), true)
			h.createEach(t, b, fresh(12, "key "), h.many)
			h.createTogether(t, b, fresh(64, ""))
			for _, n := range []int{10, 1_000, 5_000} {
				h.createMany(t, b, fresh(n, ""))
				h.createMany(t, b, fresh(n, "key "))
			}
			n := storetest.One[int](t, b.Admin, `
				SELECT count(*) FROM task_keys WHERE task_id NOT IN (SELECT id FROM tasks)`)
			if n != 0 {
				t.Errorf("%d keys have no task", n)
			}
		})
	}
}

// createEach creates ts one by one.
func (h hand) createEach(t *testing.T, b *storetest.Bundle, ts []taskstore.NewTask, served bool) {
	t.Helper()
	s := storetest.NewStore(b.Pool, taskstore.WithGroupCommit(false))
	for _, n := range ts {
		got, err := s.Create(t.Context(), n)
		h.check(t, b, n, got, err, served)
	}
}

// createTogether creates ts by as many callers at once, who share statements.
func (h hand) createTogether(t *testing.T, b *storetest.Bundle, ts []taskstore.NewTask) {
	t.Helper()
	s := roomy(t, b)
	got, errs := make([]taskstore.Task, len(ts)), make([]error, len(ts))
	free := queued(t, b, "LOCK TABLE tasks IN SHARE MODE")
	var wg sync.WaitGroup
	for i, n := range ts {
		wg.Go(func() { got[i], errs[i] = s.Create(t.Context(), n) })
	}
	waitForShared(t, b)
	free()
	wg.Wait()
	for i, n := range ts {
		h.check(t, b, n, got[i], errs[i], true)
	}
}

// check compares the outcome of one create with what is stored.
func (h hand) check(
	t *testing.T, b *storetest.Bundle, n taskstore.NewTask, got taskstore.Task, err error, served bool,
) {
	t.Helper()
	stored := storetest.StoredOf(t, b.Admin, n.UserID)
	if !served || h.drops != nil && h.drops(n.UserID) {
		h.refused(t, err, len(stored))
		return
	}
	if err != nil || !slices.Equal(stored, []taskstore.Task{got}) {
		t.Errorf("user %d got %+v, %v; stored is %+v", n.UserID, got, err, stored)
	}
}

// createMany creates ts in one call.
func (h hand) createMany(t *testing.T, b *storetest.Bundle, ts []taskstore.NewTask) {
	t.Helper()
	ids, err := b.Store.CreateMany(t.Context(), ts)
	users := make([]int64, len(ts))
	for i := range ts {
		users[i] = ts[i].UserID
	}
	stored := storetest.StoredOf(t, b.Admin, users...)
	if !h.many || h.drops != nil && slices.ContainsFunc(users, h.drops) {
		h.refused(t, err, len(stored))
		return
	}
	if err != nil || len(ids) != len(ts) || len(stored) != len(ts) {
		t.Fatalf("%d tasks: %d ids, %v; %d are stored", len(ts), len(ids), err, len(stored))
	}
	owner := make(map[int64]int64)
	for _, row := range stored {
		owner[row.ID] = row.UserID
	}
	for i, id := range ids {
		if owner[id] != users[i] {
			t.Fatalf("id %d is of user %d, and was given to user %d", id, owner[id], users[i])
		}
	}
}

func (h hand) refused(t *testing.T, err error, stored int) {
	t.Helper()
	if !errors.Is(err, taskstore.ErrInvalid) || !strings.Contains(err.Error(), "a trigger or rule of tasks") {
		t.Errorf("error is %v, want ErrInvalid that names the trigger", err)
	}
	if stored != 0 {
		t.Errorf("%d rows of a refused call are stored", stored)
	}
}
