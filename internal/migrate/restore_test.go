package migrate

import (
	"bytes"
	"cmp"
	"os/exec"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// A restore parses every definition again, and the server may put it into other words.
func TestARestoredDatabaseIsAsItShouldBe(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	dbtest.Exec(t, b.url, insertTask)
	restored := setupWith(t, restore(t, b.url), func(*Options) {})
	if _, list, err := restored.Verify(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("verify: %v, %+v", err, list)
	}
	if n := dbtest.Value[int](t, restored.url, `SELECT count(*) FROM tasks`); n != 1 {
		t.Errorf("%d rows were restored, want 1", n)
	}
}

// The schema alone comes without the rows of the history. Where it stands is read from what is there.
func TestACloneOfTheSchemaIsAdoptedWhereItStands(t *testing.T) {
	t.Parallel()
	// Files after which the table looks as before are run again.
	standsAt := map[int64]int64{1: 1, 2: 1, 3: 1, 4: 4, 5: 4, 6: 6, 7: 6, 8: 8, 9: 9, 10: 10, 11: 10}
	source := setup(t)
	for _, s := range source.known {
		if _, err := source.Up(t.Context(), s.version); err != nil {
			t.Fatal(err)
		}
		clone := setupWith(t, restore(t, source.url, "--schema-only"), func(*Options) {})
		adoption, err := clone.Adopt(t.Context(), true)
		if err != nil {
			t.Fatalf("version %d: %v, %+v", s.version, err, adoption.Findings)
		}
		for _, m := range adoption.Migrations {
			if want := m.Version <= cmp.Or(standsAt[s.version], s.version); want != (m.State == StateApplied) {
				t.Errorf("clone of version %d: %s is %s", s.version, m.Name, m.State)
			}
		}
		if _, err := clone.Up(t.Context(), Newest); err != nil {
			t.Errorf("up on a clone of version %d: %v", s.version, err)
		}
		if _, list, err := clone.Verify(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("verify on a clone of version %d: %v, %+v", s.version, err, list)
		}
	}
}

// Of a clone with rows nobody knows whether the back-fill came to its end.
func TestACloneWithUnsoundRowsIsNotAdopted(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	dbtest.Exec(t, b.url, `DROP TABLE tasks_goose_version`,
		`ALTER TABLE tasks DISABLE TRIGGER USER`, insertTask, `UPDATE tasks SET updated_at = 1700000000`,
		`ALTER TABLE tasks ENABLE TRIGGER USER`)
	_, err := b.Adopt(t.Context(), true)
	_ = wantKind(t, err, Drift)
}

// A history that is lost half-way, before the back-fill: what is still to be done is left to up.
func TestATableIsAdoptedHalfWay(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	if _, err := b.Up(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, b.url, `DROP TABLE tasks_goose_version`)
	if adoption, err := b.Adopt(t.Context(), true); err != nil {
		t.Fatalf("%v: %+v", err, adoption.Findings)
	}
	b.finish(t)
}

// restore dumps a database and reads the dump into a new one.
func restore(t *testing.T, url string, options ...string) string {
	t.Helper()
	for _, program := range []string{"pg_dump", "psql"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not on this machine: no dump can be restored", program)
		}
	}
	var dump, said bytes.Buffer
	options = append(options, "--no-owner", "--dbname", url)
	out := exec.CommandContext(t.Context(), "pg_dump", options...)
	out.Stdout, out.Stderr = &dump, &said
	if err := out.Run(); err != nil {
		if strings.Contains(said.String(), "server version mismatch") {
			t.Skipf("pg_dump is older than the server: %s", said.String())
		}
		t.Fatalf("pg_dump: %v: %s", err, said.String())
	}
	target := dbtest.New(t)
	in := exec.CommandContext(t.Context(),
		"psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", target)
	in.Stdin = &dump
	if said, err := in.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v: %s", err, said)
	}
	return target
}
