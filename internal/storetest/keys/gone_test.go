package keys

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// removals are the ways in which a task goes.
var removals = map[string]func(ctx context.Context, b *storetest.Bundle, id int64) error{
	"by the store": func(ctx context.Context, b *storetest.Bundle, id int64) error { return b.Store.Delete(ctx, id) },
	"by foreign SQL": func(ctx context.Context, b *storetest.Bundle, id int64) error {
		_, err := b.Admin.Exec(ctx, "DELETE FROM tasks WHERE id = $1", id)
		return err
	},
}

// The key of a task that is gone is free, and callers who take it over at once get one task.
func TestTheKeyOfATaskThatIsGone(t *testing.T) {
	t.Parallel()
	for how, remove := range removals {
		for way, create := range creates {
			t.Run(how+"/"+way, func(t *testing.T) {
				t.Parallel()
				b := storetest.Setup(t)
				id, err := create(t.Context(), b.Store, keyed(0, "k"))
				if err != nil {
					t.Fatal(err)
				}
				for round := range 20 {
					gone := id
					if err := remove(t.Context(), b, gone); err != nil {
						t.Fatal(err)
					}
					wantOwner(t, b, "k", 0)
					var other int64
					rival := storetest.Start(func() (err error) {
						other, err = create(t.Context(), b.Store, keyed(2*round+1, "k"))
						return err
					})
					id, err = create(t.Context(), b.Store, keyed(2*round+2, "k"))
					if rivalErr := <-rival; err != nil || rivalErr != nil || id != other || id == gone && !storetest.OnCitus() {
						t.Fatalf("took over task %d's key: %d, %v and %d, %v", gone, id, err, other, rivalErr)
					}
					wantOwner(t, b, "k", id)
					wantStored(t, b, 1, 1)
				}
			})
		}
	}
}

// The same where both have seen that the task is gone before either takes the key.
func TestTwoTakeAKeyOver(t *testing.T) {
	t.Parallel()
	for way, create := range creates {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			orphan(t, b, "k")
			tx := b.Begin(t, pgx.ReadCommitted)
			first, err := create(t.Context(), b.Store.WithTx(tx), keyed(1, "k"))
			if err != nil {
				t.Fatal(err)
			}
			var second int64
			waits := storetest.Start(func() (err error) {
				second, err = create(t.Context(), b.Store, keyed(2, "k"))
				return err
			})
			b.WaitForBlocked(t, 1)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-waits; err != nil || second != first {
				t.Errorf("the second got task %d, %v, want %d", second, err, first)
			}
			wantOwner(t, b, "k", first)
			wantStored(t, b, 1, 1)
		})
	}
}

// orphan leaves a key whose task somebody else has deleted.
func orphan(t *testing.T, b *storetest.Bundle, key string) {
	t.Helper()
	if _, err := b.Store.Create(t.Context(), keyed(0, key)); err != nil {
		t.Fatal(err)
	}
	b.Exec(t, "DELETE FROM tasks")
}

// DeleteFinished also deletes the keys of the tasks that it deletes, and those of tasks that are gone, wherever in the
// table they are.
func TestDeleteFinishedCleansKeys(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "keys of tasks that somebody else has deleted stay until they are used again")
	b := storetest.Setup(t)
	var ts []taskstore.NewTask
	for i := range 10 {
		ts = append(ts, keyed(i, fmt.Sprint("key ", i)))
	}
	ids, err := b.Store.CreateMany(t.Context(), ts)
	if err != nil {
		t.Fatal(err)
	}
	b.Exec(t, "DELETE FROM tasks WHERE id = ANY ($1)", []int64{ids[0], ids[5], ids[9]})
	b.Exec(t, "UPDATE tasks SET status = 2 WHERE id = ANY ($1)", []int64{ids[2], ids[3], ids[8]})
	later := time.UnixMilli(int64(b.Now(t))).Add(time.Hour)
	if n, err := b.Store.DeleteFinished(t.Context(), later, 1); n != 1 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	if n, err := b.Store.DeleteFinished(t.Context(), later, 100); n != 2 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	wantStored(t, b, 4, 4)
	for _, kept := range []int{1, 4, 6, 7} {
		wantOwner(t, b, ts[kept].Key, ids[kept])
	}
	b.Exec(t, "DELETE FROM tasks")
	if n, err := b.Store.DeleteFinished(t.Context(), later, 1); n != 0 || err != nil {
		t.Fatalf("deleted %d, %v", n, err)
	}
	wantStored(t, b, 0, 0)
}

// A key that is being taken over delays DeleteFinished as little as any row that somebody has locked, and so does the
// key of an old task that somebody creates again.
func TestDeleteFinishedPassesByLockedKeys(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "there it waits for a key that somebody has locked")
	b := storetest.Setup(t)
	orphan(t, b, "gone")
	old, err := b.Store.Create(t.Context(), keyed(1, "old"))
	if err != nil {
		t.Fatal(err)
	}
	b.Exec(t, "UPDATE tasks SET status = 2")
	tx := b.Begin(t, pgx.ReadCommitted)
	for _, key := range []string{"gone", "old"} {
		if _, err := b.Store.WithTx(tx).Create(t.Context(), keyed(2, key)); err != nil {
			t.Fatal(err)
		}
	}
	later := time.UnixMilli(int64(b.Now(t))).Add(time.Hour)
	if n, err := b.Store.DeleteFinished(t.Context(), later, 10); n != 1 || err != nil {
		t.Errorf("deleted %d, %v; want task %d", n, err, old.ID)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantStored(t, b, 0, 2)
	if n, err := b.Store.DeleteFinished(t.Context(), later, 10); n != 0 || err != nil {
		t.Errorf("then deleted %d, %v", n, err)
	}
	wantStored(t, b, 0, 0)
}

// A key that is taken over while DeleteFinished runs stays with its new task.
func TestDeleteFinishedSparesAKeyThatIsTakenOver(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "DeleteFinished leaves keys of tasks that somebody else has deleted alone")
	b := storetest.Setup(t)
	orphan(t, b, "k")
	goOn := b.HoldDeletes(t)
	cleans := storetest.Start(func() error {
		_, err := b.Store.DeleteFinished(t.Context(), storetest.Cutoff, 1)
		return err
	})
	b.WaitForBlocked(t, 1)
	task, err := b.Store.Create(t.Context(), keyed(1, "k"))
	if err != nil {
		t.Fatal(err)
	}
	goOn()
	if err := <-cleans; err != nil {
		t.Fatal(err)
	}
	wantOwner(t, b, "k", task.ID)
	wantStored(t, b, 1, 1)
}

// A task that a trigger of somebody else keeps from being deleted keeps its key.
func TestATaskThatIsKeptKeepsItsKey(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$`)
	b.Exec(t, "CREATE TRIGGER keep BEFORE DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION keep()")
	task, err := b.Store.Create(t.Context(), keyed(1, "k"))
	if err != nil {
		t.Fatal(err)
	}
	if task, err = b.Store.SetStatus(t.Context(), task, taskstore.Failed); err != nil {
		t.Fatal(err)
	}
	storetest.WantError(t, b.Store.Delete(t.Context(), task.ID), taskstore.ErrNotFound)
	if n, err := b.Store.DeleteFinished(t.Context(), time.UnixMilli(int64(task.UpdatedAt)+1), 10); n != 0 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
	wantOwner(t, b, "k", task.ID)
}

// Where ids are given out again, the statement of docs/store.md keeps new tasks from having old ones' keys and
// failures.
func TestTruncateAndRestartIdentity(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	old, err := b.Store.Create(t.Context(), keyed(0, "k"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Store.FailWith(t.Context(), taskstore.Failure{Task: storetest.Claim(t, b.Store, 1)[0]}); err != nil {
		t.Fatal(err)
	}
	_, said, _ := strings.Cut(storetest.File(t, "docs/store.md"), "name all three, `")
	said, _, _ = strings.Cut(said, "`")
	b.Exec(t, said)
	if task := b.Create(t, 1); task.ID != old.ID {
		t.Fatalf("after %s there is task %d, want the id %d again", said, task.ID, old.ID)
	}
	_, err = b.Store.GetByKey(t.Context(), "k")
	storetest.WantError(t, err, taskstore.ErrNotFound)
	if why, err := b.Store.Failures(t.Context(), old.ID); err != nil || len(why) > 0 {
		t.Errorf("failures %v, %v", why, err)
	}
}
