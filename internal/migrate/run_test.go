package migrate

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// runLocks counts the run locks of a database, and those of one session of it.
const (
	runLocks = `SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	ownRunLocks = `(` + runLocks + ` AND pid = pg_backend_pid())`
)

// threeMigrations write down from which session each was run, and whether that held the run lock.
var threeMigrations = fstest.MapFS{
	"00001_a.sql": {Data: []byte("-- +goose Up\n" +
		"CREATE TABLE tasks AS SELECT pg_backend_pid() AS pid, " + ownRunLocks + " AS locks;")},
	"00002_b.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\n" +
		"INSERT INTO tasks SELECT pg_backend_pid(), " + ownRunLocks + ";")},
	"00003_c.sql": {Data: []byte("-- +goose Up\n" +
		"INSERT INTO tasks SELECT pg_backend_pid(), " + ownRunLocks + ";")},
}

// beforeFile calls a function when the run is about to begin with a file.
type beforeFile map[string]func()

func (b beforeFile) Write(line []byte) (int, error) {
	for file, call := range b {
		if strings.Contains(string(line), "msg=migrating file="+file) {
			call()
		}
	}
	return len(line), nil
}

func setupThree(t *testing.T, url string, hooks beforeFile) *bundle {
	t.Helper()
	return setupWith(t, url, func(o *Options) {
		o.FS = threeMigrations
		o.Log = slog.New(slog.NewTextHandler(hooks, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
}

func TestARunIsOneSessionWhichHoldsTheRunLock(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	between := 0
	held := func() { between += dbtest.Value[int](t, url, runLocks) }
	b := setupThree(t, url, beforeFile{"00002_b.sql": held, "00003_c.sql": held})
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	const summary = `SELECT concat_ws(' ', count(*), count(DISTINCT pid), min(locks), max(locks)) FROM tasks`
	if got := dbtest.Value[string](t, url, summary); got != "3 1 1 1" {
		t.Errorf("migrations, sessions and locks held are %s, want 3 1 1 1", got)
	}
	if between != 2 {
		t.Errorf("the lock was held %d times between two migrations, want 2", between)
	}
	if left := dbtest.Value[int](t, url, runLocks); left != 0 {
		t.Errorf("%d locks are left", left)
	}
}

// A session that is lost between two migrations takes the lock with it. The next one waits for it anew, and
// what another run did meanwhile is not done again.
func TestASessionInPlaceOfALostOneTakesTheRunLock(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	other := setupThree(t, url, nil)
	b := setupThree(t, url, beforeFile{"00002_b.sql": func() {
		const kill = `SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory'
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`
		if !dbtest.Value[bool](t, url, kill) {
			t.Error("the session lives on")
		}
		if _, err := other.Up(t.Context(), 2); err != nil {
			t.Error(err)
		}
	}})
	list, err := b.Up(t.Context(), Newest)
	if err != nil {
		t.Fatal(err)
	}
	var ran []int64
	for _, m := range list {
		if m.DurationMS != nil {
			ran = append(ran, m.Version)
		}
	}
	if fmt.Sprint(ran) != "[1 3]" {
		t.Errorf("the run did %v, want 1 and 3", ran)
	}
	const summary = `SELECT concat_ws(' ', count(*), count(DISTINCT pid), min(locks), max(locks)) FROM tasks`
	if got := dbtest.Value[string](t, url, summary); got != "3 3 1 1" {
		t.Errorf("migrations, sessions and locks held are %s, want 3 3 1 1", got)
	}
}

// 0 is no version: it means everything to Down, and must not mean the newest to Up.
func TestUpAndPlanRefuseVersionsThatNoMigrationHas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, version := range []int64{-1, 0, 9999} {
		_, err := b.Up(t.Context(), version)
		_ = wantKind(t, err, BadRequest)
		_, _, err = b.Plan(t.Context(), version)
		_ = wantKind(t, err, BadRequest)
	}
	if dbtest.Value[bool](t, b.url, `SELECT to_regclass('tasks') IS NOT NULL`) {
		t.Error("something was migrated")
	}
}
