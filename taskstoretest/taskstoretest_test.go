package taskstoretest

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/schema"
	"github.com/tasklane/tasks/taskstore"
)

func TestNewIsMigrated(t *testing.T) {
	t.Parallel()
	db := New(t)
	created, err := db.Store.Create(t.Context(), taskstore.NewTask{
		IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5, Argument: "{}",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := db.Store.Get(t.Context(), created.ID); err != nil || got != created {
		t.Errorf("got %+v, %v; want %+v", got, err, created)
	}
	var poolSees, urlSees string
	if err := db.Pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&poolSees); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, db.URL).QueryRow(t.Context(), "SELECT current_database()").Scan(&urlSees); err != nil {
		t.Fatal(err)
	}
	if poolSees != urlSees {
		t.Errorf("Pool is on %s, URL on %s", poolSees, urlSees)
	}
	// The database is migrated as in production: taskmigrate finds nothing left to do.
	all, err := migrate.Up(t.Context(), db.URL, migrate.Defaults())
	if err != nil || len(all) == 0 {
		t.Fatalf("%d migrations, %v", len(all), err)
	}
	for _, m := range all {
		if m.DurationMS != nil {
			t.Errorf("%d %s was still pending", m.Version, m.Name)
		}
	}
}

func TestEachTestIsAlone(t *testing.T) {
	t.Parallel()
	one, two := New(t), New(t)
	ids, err := one.Store.CreateMany(t.Context(), make([]taskstore.NewTask, 3))
	if err != nil || len(ids) != 3 || ids[0] != 1 {
		t.Fatalf("%v, %v; the first test's ids begin at 1", ids, err)
	}
	if n, err := two.Store.Count(t.Context(), taskstore.ByUser(0)); err != nil || n != 0 {
		t.Errorf("the second sees %d tasks of the first, %v", n, err)
	}
}

func TestNewTakesStoreOptions(t *testing.T) {
	t.Parallel()
	called := false
	New(t, func(*taskstore.Store) { called = true })
	if !called {
		t.Error("the option did not reach the Store")
	}
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	src := o.prepare(t)
	for _, failed := range []bool{false, true} {
		db, err := src.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		name := db.Pool.Config().ConnConfig.Database
		if _, err := db.Pool.Exec(t.Context(), "SELECT 1"); err != nil {
			t.Fatal(err)
		}
		r := &recorder{TB: t, failed: failed}
		db.finish(r)
		if kept := slices.Contains(o.databases(t), name); kept != failed {
			t.Errorf("failed %v: kept %v", failed, kept)
		}
		if !failed && len(r.said) > 0 {
			t.Errorf("a passing test said %s", r.text())
		}
		if !failed {
			continue
		}
		if want := "/" + name; !strings.Contains(r.text(), want) {
			t.Errorf("no %s in %q", want, r.text())
		}
		u, _ := url.Parse(o.server.URL)
		if password, _ := u.User.Password(); strings.Contains(r.text(), password) {
			t.Errorf("the password is in %q", r.text())
		}
	}
}

// A private server ends with the process, so nothing can be kept on it. The log says how to keep a database.
func TestFailureOnPrivateServerSaysHowToKeep(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	src := o.prepare(t)
	private := &source{server: &pgserver.Server{URL: o.server.URL, Source: "local"}, template: src.template}
	db, err := private.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t, failed: true}
	db.finish(r)
	if !strings.Contains(r.text(), "TASKSTORE_TEST_DATABASE_URL") {
		t.Errorf("it said %q", r.text())
	}
	if got := o.databases(t); !slices.Equal(got, []string{src.template}) {
		t.Errorf("left are %q", got)
	}
}

func TestLeakedConnectionIsReported(t *testing.T) {
	t.Parallel()
	db := New(t)
	leaked, err := db.Pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = db.closePool(time.Millisecond)
	leaked.Release()
	if err == nil || !strings.Contains(err.Error(), "still in use at the end of the test: 1;") {
		t.Errorf("got %v", err)
	}
}

func TestWithoutPassword(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://me:s3cret@h:1/db?sslmode=disable": "postgres://me@h:1/db?sslmode=disable",
		"postgres://me@h/db?password=s3cret":          "postgres://me@h/db",
		"postgres://h/db":                             "postgres://h/db",
		"postgres://me:s3cret@[::1/db":                "",
	} {
		if got := withoutPassword(address); got != want {
			t.Errorf("%s: %s; want %s", address, got, want)
		}
	}
}

// BenchmarkNew measures what a test pays for its database, including the pool's first connection.
func BenchmarkNew(b *testing.B) {
	src, err := shared()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db, err := src.open(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Pool.Ping(b.Context()); err != nil {
			b.Fatal(err)
		}
		db.finish(b)
	}
}

// BenchmarkFreshMigrate measures what a test would pay if it migrated a database itself.
func BenchmarkFreshMigrate(b *testing.B) {
	src, err := shared()
	if err != nil {
		b.Fatal(err)
	}
	options := migrate.Defaults()
	options.FS = schema.FS
	for b.Loop() {
		address, drop, err := src.server.CreateDatabase(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := migrate.Up(context.Background(), address, options); err != nil {
			b.Fatal(err)
		}
		if err := drop(); err != nil {
			b.Fatal(err)
		}
	}
}
