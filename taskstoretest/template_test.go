package taskstoretest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/schema"
)

func (o *owner) prepare(t *testing.T) *source {
	t.Helper()
	src, err := prepare(t.Context(), o.server, migrations("simple", "CREATE TABLE tasks (id int)"))
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// Test binaries that start at once on one server share one template, built once.
func TestTemplateIsBuiltOnce(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	const binaries = 6
	var mu sync.Mutex
	names := map[string]int{}
	var wg sync.WaitGroup
	for range binaries {
		wg.Go(func() {
			src, err := prepare(t.Context(), o.server, schema.FS)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			names[src.template]++
		})
	}
	wg.Wait()
	if len(names) != 1 {
		t.Fatalf("got templates %v; want one", names)
	}
	for name := range names {
		if got := o.databases(t); !slices.Equal(got, []string{name}) {
			t.Errorf("the databases are %q; want the template alone", got)
		}
	}
}

func TestTemplateNameFollowsMigrationsAndRole(t *testing.T) {
	t.Parallel()
	one, two := newOwner(t), newOwner(t)
	names := map[string]bool{}
	for range 2 {
		for _, o := range []*owner{one, two} {
			conn := connect(t, o.server.URL)
			for _, m := range []struct{ from, statement string }{{"a", "SELECT 1"}, {"a", "SELECT 2"}, {"b", "SELECT 1"}} {
				name, err := templateName(t.Context(), conn, migrations(m.from, m.statement))
				if err != nil {
					t.Fatal(err)
				}
				names[name] = true
			}
		}
	}
	if len(names) != 6 {
		t.Errorf("%d names for 3 sets of migrations and 2 roles: %v", len(names), names)
	}
}

// If building a template fails, neither a template nor a half-built database stays.
func TestHalfBuiltTemplateIsNeverUsed(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	_, err := prepare(t.Context(), o.server, migrations("broken", "CREATE TABLE half (id int); SELECT 1/0"))
	if err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Errorf("got %v", err)
	}
	if left := o.databases(t); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// Nobody can connect to the template: a session on it would prevent tests from copying it.
func TestTemplateTakesNoSessions(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	src := o.prepare(t)
	address, err := o.server.DatabaseURL(src.template)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), address)
	if err == nil {
		conn.Close(t.Context())
	}
	if !hasCode(err, "55000") {
		t.Errorf("got %v; want the server's refusal", err)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	fresh := fmt.Sprintf("taskstore_test_%d_fresh%s", daysAgo(0.9), o.name[14:20])
	old := fmt.Sprintf("taskstore_test_%d_old%s", daysAgo(1.1), o.name[14:20])
	inUse := fmt.Sprintf("taskstore_test_%d_inuse%s", daysAgo(9), o.name[14:20])
	undated := "taskstore_test_undated_" + o.name[14:20]
	foreign := "tasks_" + o.name[14:20]
	usedTemplate := templatePrefix + "used" + o.name[14:20]
	oldTemplate := templatePrefix + "old" + o.name[14:20]
	undatedTemplate := templatePrefix + "undated" + o.name[14:20]
	for _, name := range []string{fresh, old, inUse, undated, foreign, usedTemplate, oldTemplate, undatedTemplate} {
		o.exec(t, "CREATE DATABASE "+quote(name)+" OWNER "+quote(o.name)+" TEMPLATE template0")
	}
	// Old, but of another role.
	foreignOld := fmt.Sprintf("taskstore_test_%d_other%s", daysAgo(9), o.name[14:20])
	o.exec(t, "CREATE DATABASE "+quote(foreignOld)+" TEMPLATE template0")
	t.Cleanup(func() { o.exec(t, "DROP DATABASE "+quote(foreignOld)) })

	conn := connect(t, o.server.URL)
	now := time.Now()
	for name, days := range map[string]float64{usedTemplate: 0.9, oldTemplate: 1.1} {
		if err := markUsed(t.Context(), conn, name, time.Unix(daysAgo(days), 0)); err != nil {
			t.Fatal(err)
		}
	}
	address, err := o.server.DatabaseURL(inUse)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, address)
	if err := sweep(t.Context(), conn, now); err != nil {
		t.Fatal(err)
	}

	want := []string{fresh, inUse, undated, foreign, usedTemplate, undatedTemplate}
	slices.Sort(want)
	if got := o.databases(t); !slices.Equal(got, want) {
		t.Errorf("left are\n%q; want\n%q", got, want)
	}
	var there bool
	err = o.admin.QueryRow(t.Context(),
		"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", foreignOld).Scan(&there)
	if err != nil || !there {
		t.Errorf("another role's database is gone: %v", err)
	}
}

// prepare marks the template as used, whether it has built it or found it.
func TestPrepareMarksTheTemplate(t *testing.T) {
	t.Parallel()
	o := newOwner(t)
	src := o.prepare(t)
	conn := connect(t, o.server.URL)
	for range 2 {
		if err := markUsed(t.Context(), conn, src.template, time.Unix(daysAgo(0.5), 0)); err != nil {
			t.Fatal(err)
		}
		o.prepare(t)
		var comment string
		err := o.admin.QueryRow(t.Context(),
			"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = $1", src.template).Scan(&comment)
		if err != nil {
			t.Fatal(err)
		}
		if last, ok := lastUse(src.template, comment); !ok || last.Before(time.Unix(daysAgo(0.1), 0)) {
			t.Errorf("the comment is %q", comment)
		}
	}
}
