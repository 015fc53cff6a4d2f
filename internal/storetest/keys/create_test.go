// Package keys holds the tests of creates that may be repeated.
package keys

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// keyed returns NewTask(n) with a key.
func keyed(n int, key string) taskstore.NewTask {
	t := storetest.NewTask(n)
	t.Key = key
	return t
}

// creates are the ways to create one task with a key. Each returns its id.
var creates = map[string]func(ctx context.Context, s *taskstore.Store, n taskstore.NewTask) (int64, error){
	"Create": func(ctx context.Context, s *taskstore.Store, n taskstore.NewTask) (int64, error) {
		task, err := s.Create(ctx, n)
		return task.ID, err
	},
	"CreateMany": func(ctx context.Context, s *taskstore.Store, n taskstore.NewTask) (int64, error) {
		ids, err := s.CreateMany(ctx, []taskstore.NewTask{n})
		if err != nil {
			return 0, err
		}
		return ids[0], nil
	},
}

// wantOwner fails the test unless the key has the task with that id, or no task if that is 0.
func wantOwner(t *testing.T, b *storetest.Bundle, key string, id int64) {
	t.Helper()
	got, err := b.Store.GetByKey(t.Context(), key)
	if id == 0 {
		storetest.WantError(t, err, taskstore.ErrNotFound)
		return
	}
	if err != nil || got != storetest.StoredTask(t, b.Pool, id) {
		t.Errorf("the key %.20q has %+v, %v; want task %d as stored", key, got, err, id)
	}
}

func wantStored(t *testing.T, b *storetest.Bundle, tasks, keys int) {
	t.Helper()
	if n := len(storetest.Stored(t, b.Pool)); n != tasks {
		t.Errorf("%d tasks are stored, want %d", n, tasks)
	}
	if n := storetest.One[int](t, b.Admin, "SELECT count(*) FROM task_keys"); n != keys {
		t.Errorf("%d keys are stored, want %d", n, keys)
	}
}

// A key that is taken gives its task, as it is by then, and writes nothing.
func TestATakenKeyGivesItsTask(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	first, err := b.Store.Create(t.Context(), keyed(1, "k"))
	if err != nil || first != storetest.StoredTask(t, b.Pool, first.ID) || storetest.Input(first) != storetest.NewTask(1) {
		t.Fatalf("created %+v, %v", first, err)
	}
	again, err := b.Store.Create(t.Context(), keyed(2, "k"))
	if err != nil || again != first {
		t.Errorf("created again: %+v, %v, want %+v", again, err, first)
	}
	done, err := b.Store.SetStatus(t.Context(), first, taskstore.Completed)
	if err != nil {
		t.Fatal(err)
	}
	if again, err = b.Store.Create(t.Context(), keyed(3, "k")); err != nil || again != done {
		t.Errorf("created when it was done: %+v, %v, want %+v", again, err, done)
	}
	ids, err := b.Store.CreateMany(t.Context(), []taskstore.NewTask{keyed(4, "k")})
	if err != nil {
		t.Fatal(err)
	}
	storetest.WantIDs(t, "created by CreateMany", ids, first.ID)
	wantOwner(t, b, "k", first.ID)
	wantOwner(t, b, "K", 0)
	wantStored(t, b, 1, 1)
}

// counter is a DB that counts the statements.
type counter struct {
	*pgxpool.Pool
	n int
}

func (c *counter) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.n++
	return c.Pool.Query(ctx, sql, args...)
}

func (c *counter) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c.n++
	return c.Pool.QueryRow(ctx, sql, args...)
}

// A create is one statement. Were the task read by a second one, a task that was worked on and deleted in between would
// be created again.
func TestACreateIsOneStatement(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "a create with a key is a transaction, and holds the key's lock while it reads")
	b := storetest.Setup(t)
	c := &counter{Pool: b.Pool}
	s := storetest.NewStore(c)
	for name, n := range map[string]taskstore.NewTask{
		"a new key": keyed(1, "new"), "no key": storetest.NewTask(2), "a taken key": keyed(3, "taken"),
	} {
		if n.Key == "taken" {
			if _, err := b.Store.Create(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		for way, create := range creates {
			n := n
			if n.Key == "new" {
				n.Key += way
			}
			c.n = 0
			if _, err := create(t.Context(), s, n); err != nil || c.n != 1 {
				t.Errorf("%s by %s: %d statements, %v", name, way, c.n, err)
			}
		}
	}
}

func TestKeysHaveLimits(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	longest := strings.Repeat("é", 256)
	for name, key := range map[string]string{
		"the longest": longest, "text like SQL": `'; -- {"a", NULL} \\x00 $1`, "a blank": " ",
	} {
		for way, create := range creates {
			id, err := create(t.Context(), b.Store, keyed(1, key))
			if err != nil {
				t.Errorf("%s by %s: %v", name, way, err)
			}
			wantOwner(t, b, key, id)
		}
	}
	stored := storetest.Stored(t, b.Pool)
	for key, says := range map[string]string{
		longest + "x":  "key has 513 bytes, at most 512 are possible",
		"a\x00b":       "key has a NUL at byte 1",
		"ab\xff":       "key is not valid UTF-8 at byte 2",
		longest[:1]:    "key is not valid UTF-8 at byte 0",
		"\xed\xa0\x80": "key is not valid UTF-8 at byte 0", // half of a UTF-16 pair
	} {
		_, createErr := b.Store.Create(t.Context(), keyed(1, key))
		_, manyErr := b.Store.CreateMany(t.Context(), []taskstore.NewTask{keyed(1, "good"), keyed(2, ""), keyed(3, key)})
		_, getErr := b.Store.GetByKey(t.Context(), key)
		for _, err := range []error{createErr, manyErr, getErr} {
			storetest.WantError(t, err, taskstore.ErrInvalid)
			if !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("error is %v, want it to say: %s", err, says)
			}
		}
		if !strings.Contains(fmt.Sprint(manyErr), "index 2") {
			t.Errorf("error is %v, want it to name index 2", manyErr)
		}
	}
	_, err := b.Store.GetByKey(t.Context(), "")
	storetest.WantError(t, err, taskstore.ErrInvalid)
	if got := storetest.Stored(t, b.Pool); !slices.Equal(got, stored) {
		t.Errorf("refused keys have left %d rows", len(got)-len(stored))
	}
}

// A batch may have tasks with and without keys, keys that it has twice, and keys that are taken.
func TestCreateManyWithKeys(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	taken, err := b.Store.Create(t.Context(), keyed(0, "taken"))
	if err != nil {
		t.Fatal(err)
	}
	ts := []taskstore.NewTask{
		keyed(1, ""), keyed(2, "b"), keyed(3, "a"), keyed(4, "taken"),
		keyed(5, "b"), keyed(6, ""), keyed(7, "taken"), keyed(8, "a"),
	}
	ids, err := b.Store.CreateMany(t.Context(), ts)
	if err != nil || len(ids) != len(ts) {
		t.Fatal(ids, err)
	}
	for i, first := range []int{0, 1, 2, -1, 1, 5, -1, 2} { // the place of the task that each gets
		want := taken
		if first >= 0 {
			want = storetest.StoredTask(t, b.Pool, ids[first])
			if in := ts[first]; storetest.Input(want) != storetest.NewTask(first+1) {
				t.Errorf("ids[%d] is the row %+v, want %+v", first, want, in)
			}
		}
		if ids[i] != want.ID {
			t.Errorf("ids[%d] is %d, want %d", i, ids[i], want.ID)
		}
	}
	wantStored(t, b, 5, 3)
	wantOwner(t, b, "a", ids[2])
	wantOwner(t, b, "b", ids[1])
}

// A large batch may be repeated as a whole and in part.
func TestCreateManyWithKeysAgain(t *testing.T) {
	t.Parallel()
	const n = 5_000
	b := storetest.Setup(t)
	batch := func(first int) []taskstore.NewTask {
		ts := make([]taskstore.NewTask, n)
		for i := range ts {
			ts[i] = keyed(first+i, fmt.Sprint("order ", first+i))
		}
		return ts
	}
	ids, err := b.Store.CreateMany(t.Context(), batch(0))
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.Store.CreateMany(t.Context(), batch(0))
	if err != nil || !slices.Equal(again, ids) {
		t.Errorf("repeated: %v, other ids", err)
	}
	half, err := b.Store.CreateMany(t.Context(), batch(n/2))
	if err != nil || !slices.Equal(half[:n/2], ids[n/2:]) {
		t.Errorf("half repeated: %v, other ids", err)
	}
	wantStored(t, b, n+n/2, n+n/2)
	rows := make(map[int64]taskstore.NewTask)
	for _, row := range storetest.Stored(t, b.Pool) {
		rows[row.ID] = storetest.Input(row)
	}
	for i, id := range half {
		if rows[id] != storetest.NewTask(n/2+i) {
			t.Fatalf("ids[%d] = %d is the row %+v", i, id, rows[id])
		}
	}
}
