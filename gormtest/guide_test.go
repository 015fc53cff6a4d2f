package gormtest

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/taskstore"
)

// The steps of docs/from-gorm.md on a table that GORM made: the old program is at work all the time, from before the
// migration, and the new one joins it. Each task takes effect once, whoever created it and whoever works on it.
func TestOldAndNewProgramsSideBySide(t *testing.T) {
	t.Parallel()
	const each = 100 // tasks of a producer at a step
	url := dbtest.New(t)
	autoMigrate(t, url)
	dbtest.Exec(t, url, "CREATE TABLE effects (task_id bigint, worker text)")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var programs sync.WaitGroup
	program := func(f func() error) {
		programs.Go(func() {
			if err := f(); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
	}
	done := func(tasks int) {
		t.Helper()
		dbtest.Eventually(t, func() string {
			if n := dbtest.Value[int](t, url, "SELECT count(*) FROM tasks WHERE status = 2"); n < tasks {
				return fmt.Sprintf("%d of %d tasks to be completed", n, tasks)
			}
			return ""
		})
	}

	old := open(t, url)
	for range 2 {
		program(func() error {
			return gormWork(ctx, old, func(ctx context.Context, task Task) error {
				return old.WithContext(ctx).Exec("INSERT INTO effects VALUES (?, 'old')", task.ID).Error
			})
		})
	}
	oldCreates := func(step string) {
		program(func() error {
			for i := range each {
				if err := gormCreate(old, fmt.Sprint("old ", step, i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	oldCreates("before")

	if _, err := migrator(t, url).Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := migrate.Up(t.Context(), url, migrate.Defaults()); err != nil {
		t.Fatal(err)
	}
	done(each)

	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := taskstore.New(pool)
	newCreates := func() {
		program(func() error {
			for i := range each {
				for range 2 { // the second finds the first's key
					if err := storeCreate(ctx, store, fmt.Sprint("new ", i)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	program(func() error {
		return storeWork(ctx, pool, func(ctx context.Context, tx pgx.Tx, task taskstore.Task) error {
			_, err := tx.Exec(ctx, "INSERT INTO effects VALUES ($1, 'new')", task.ID)
			return err
		})
	})
	oldCreates("beside")
	newCreates()
	done(3 * each)

	theirs, err := gormList(old, 1)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := storeList(t.Context(), store, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(ours) != 100 || len(theirs) != 100 { // a page
		t.Fatalf("GORM lists %d tasks, the store %d", len(theirs), len(ours))
	}
	for i, task := range ours {
		if task.ID != theirs[i].ID || task.Argument != theirs[i].Argument ||
			int64(task.UpdatedAt) != theirs[i].UpdatedAt {
			t.Fatalf("GORM lists %+v, the store %+v", theirs, ours)
		}
	}
	stop()
	programs.Wait()
	for what, sql := range map[string]string{
		"tasks":                        fmt.Sprintf("SELECT abs(count(*) - %d) FROM tasks", 3*each),
		"tasks that took no effect":    "SELECT count(*) FROM tasks WHERE id NOT IN (SELECT task_id FROM effects)",
		"tasks that took effect twice": "SELECT count(*) - count(DISTINCT task_id) FROM effects",
	} {
		if n := dbtest.Value[int](t, url, sql); n != 0 {
			t.Errorf("%d %s too many", n, what)
		}
	}
	if n := dbtest.Value[int](t, url, "SELECT count(DISTINCT worker) FROM effects"); n != 2 {
		t.Errorf("%d of the two programs have worked", n)
	}
}

var quote = regexp.MustCompile("(?s)```go\n(.*?)```")

// The guide's Go code is that of before.go and after.go, which the test above runs.
func TestGuideQuotesWhatIsTested(t *testing.T) {
	t.Parallel()
	var tested strings.Builder
	for _, name := range []string{"before.go", "after.go"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tested.Write(text)
	}
	for _, page := range []string{"../docs/from-gorm.md", "../docs/from-gorm.zh-CN.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		quotes := quote.FindAllStringSubmatch(string(text), -1)
		if len(quotes) < 4 {
			t.Errorf("%s has %d quotes", page, len(quotes))
		}
		for _, q := range quotes {
			if !strings.Contains(tested.String(), q[1]) {
				t.Errorf("%s quotes what is not tested:\n%s", page, q[1])
			}
		}
	}
}
