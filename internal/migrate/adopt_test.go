package migrate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestAdoptRefusesAndChangesNothing(t *testing.T) {
	t.Parallel()
	const idxTask = `(integration_id, client_id, template_id)`
	for _, test := range []struct {
		name   string
		shape  []string
		object string
	}{
		{"a column is missing", []string{`ALTER TABLE tasks DROP COLUMN argument`}, "tasks.argument"},
		{"a narrower type", []string{`ALTER TABLE tasks ALTER COLUMN user_id TYPE integer`}, "tasks.user_id"},
		{"a bounded text", []string{`ALTER TABLE tasks ALTER COLUMN argument TYPE varchar(100)`}, "tasks.argument"},
		{
			"another type",
			[]string{`ALTER TABLE tasks ALTER COLUMN status DROP DEFAULT, ALTER COLUMN status TYPE text`},
			"tasks.status",
		},
		{"a default too many", []string{`ALTER TABLE tasks ALTER COLUMN user_id SET DEFAULT 1`}, "tasks.user_id"},
		{"no primary key", []string{`ALTER TABLE tasks DROP CONSTRAINT tasks_pkey`}, "tasks_pkey"},
		{
			"a primary key on more",
			[]string{`ALTER TABLE tasks DROP CONSTRAINT tasks_pkey, ADD PRIMARY KEY (id, user_id)`},
			"tasks_pkey",
		},
		{"idx_task on other columns", []string{`CREATE INDEX idx_task ON tasks (client_id)`}, "idx_task"},
		{
			"idx_task in another order",
			[]string{`CREATE INDEX idx_task ON tasks (client_id, integration_id, template_id)`},
			"idx_task",
		},
		{"a unique idx_task", []string{`CREATE UNIQUE INDEX idx_task ON tasks ` + idxTask}, "idx_task"},
		{
			"a partial idx_task",
			[]string{`CREATE INDEX idx_task ON tasks ` + idxTask + ` WHERE status = 0`},
			"idx_task",
		},
		{
			"idx_status on another column",
			[]string{`DROP INDEX idx_status`, `CREATE INDEX idx_status ON tasks (argument)`},
			"idx_status",
		},
		{
			"a later index's name is taken",
			[]string{`CREATE INDEX idx_tasks_pending ON tasks (id)`},
			"idx_tasks_pending",
		},
		{
			"a later constraint's name is taken",
			[]string{`ALTER TABLE tasks ADD CHECK (status >= 0)`},
			"tasks_status_check",
		},
		{
			"a later function's name is taken",
			[]string{`CREATE FUNCTION tasks_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`},
			"tasks_guard()",
		},
		{"a later table's name is taken", []string{`CREATE TABLE task_keys (id bigint)`}, "task_keys"},
		{
			"a column that an insert cannot leave out",
			[]string{`ALTER TABLE tasks ADD COLUMN tenant bigint NOT NULL`},
			"tasks.tenant",
		},
		{
			"a column of a domain that an insert cannot leave out",
			[]string{`CREATE DOMAIN tenant AS bigint NOT NULL`, `ALTER TABLE tasks ADD COLUMN tenant tenant`},
			"tasks.tenant",
		},
		{
			"a check that takes times in seconds only",
			[]string{`ALTER TABLE tasks ALTER updated_at DROP DEFAULT,
ADD CONSTRAINT seconds CHECK (updated_at BETWEEN 0 AND 9999999999)`},
			"seconds",
		},
		{
			"an index of another table has a name",
			[]string{
				`DROP INDEX idx_status`, `CREATE TABLE orders (status bigint)`, `CREATE INDEX idx_status ON orders (status)`,
			},
			"idx_status",
		},
		{
			"a later index's name is that of another table's",
			[]string{`CREATE TABLE orders (id bigint)`, `CREATE INDEX idx_task_keys_task_id ON orders (id)`},
			"idx_task_keys_task_id",
		},
		{"a rule", []string{`CREATE RULE keep AS ON DELETE TO tasks DO INSTEAD NOTHING`}, "keep"},
		{"a child table", []string{`CREATE TABLE old_tasks () INHERITS (tasks)`}, "old_tasks"},
		{"a view", []string{`ALTER TABLE tasks RENAME TO t`, `CREATE VIEW tasks AS SELECT * FROM t`}, "tasks"},
		{
			"a partitioned table",
			[]string{`ALTER TABLE tasks RENAME TO t`, `CREATE TABLE tasks (LIKE t) PARTITION BY RANGE (id)`},
			"tasks",
		},
		{
			"a partition",
			[]string{
				`CREATE TABLE all_tasks (LIKE tasks INCLUDING ALL) PARTITION BY RANGE (id)`,
				`ALTER TABLE all_tasks ATTACH PARTITION tasks DEFAULT`,
			},
			"tasks",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			dbtest.Exec(t, b.url, document.DDL)
			dbtest.Exec(t, b.url, test.shape...)
			before := dbtest.Contents(t, b.url)
			adoption, err := b.Adopt(t.Context(), true)
			_ = wantKind(t, err, Drift)
			if dbtest.Contents(t, b.url) != before {
				t.Error("a refused adopt changed something")
			}
			var objects []string
			for _, f := range adoption.Findings {
				if f.Severity == catalog.Block {
					objects = append(objects, f.Object)
				}
			}
			if len(objects) != 1 || objects[0] != test.object {
				t.Errorf("blocked by %q, want %q: %+v", objects, test.object, adoption.Findings)
			}
		})
	}
}

func TestAdoptWithoutATable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := dbtest.Contents(t, b.url)
	_, err := b.Adopt(t.Context(), true)
	if failure := wantKind(t, err, Drift); !strings.Contains(failure.Hint, "taskmigrate up") {
		t.Errorf("hint %q", failure.Hint)
	}
	if dbtest.Contents(t, b.url) != before {
		t.Error("adopt changed something")
	}
}

func TestAdoptNotesWhatDoesNoHarm(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL)
	dbtest.Exec(t, b.url, insertTask,
		`CREATE INDEX idx_task ON tasks (integration_id, client_id, template_id)`,
		`ALTER INDEX idx_status RENAME TO "Status"`,
		`ALTER TABLE tasks RENAME CONSTRAINT tasks_pkey TO pk_tasks`,
		`ALTER TABLE tasks ALTER COLUMN status TYPE bigint`,
		`ALTER TABLE tasks ALTER COLUMN argument TYPE varchar`,
		`ALTER TABLE tasks ADD COLUMN remark text`,
		`CREATE INDEX mine ON tasks (remark)`,
		`CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
		`CREATE TRIGGER zz_mark BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION mark()`)
	adoption, err := b.Adopt(t.Context(), true)
	if err != nil {
		t.Fatal(err, adoption.Findings)
	}
	for _, f := range adoption.Findings {
		if f.Severity != catalog.Note {
			t.Errorf("not a note: %+v", f)
		}
	}
	said := fmt.Sprint(adoption.Findings)
	if len(adoption.Findings) != 8 || !strings.Contains(said, "it fires after tasks_guard_insert") ||
		!strings.Contains(said, `ALTER INDEX "Status" RENAME TO idx_status`) {
		t.Errorf("found %+v", adoption.Findings)
	}
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	if _, list, err := b.Verify(t.Context()); err != nil {
		t.Errorf("after up: %v, %+v", err, list)
	}
}

// Each row that is converted is updated. A trigger of somebody else's that fires then is named.
func TestAdoptNamesTheTriggersThatFireOnConvertedRows(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		trigger string
		named   bool
	}{
		"on each update":              {`touch BEFORE UPDATE`, true},
		"on an update of that column": {`touch AFTER UPDATE OF updated_at`, true},
		"on an update of another":     {`touch AFTER UPDATE OF status`, false},
		"on inserts":                  {`touch BEFORE INSERT`, false},
	} {
		b := setup(t)
		dbtest.Exec(t, b.url, document.DDL, insertTask, `UPDATE tasks SET updated_at = 1721818960`,
			`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
			`CREATE TRIGGER `+test.trigger+` ON tasks FOR EACH ROW EXECUTE FUNCTION touch()`)
		adoption, err := b.Adopt(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		found := adoption.Findings[len(adoption.Findings)-1]
		if found.Kind != "data" || strings.Contains(found.Cause, "touch") != test.named {
			t.Errorf("%s: %+v", name, found)
		}
	}
}

func TestUpLeavesATableAloneThatSomebodyElseCreated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL)
	before := dbtest.Contents(t, b.url)
	_, err := b.Up(t.Context(), Newest)
	if failure := wantKind(t, err, Unmanaged); !strings.Contains(failure.Hint, "taskmigrate adopt") {
		t.Errorf("hint %q", failure.Hint)
	}
	if dbtest.Contents(t, b.url) != before {
		t.Error("up changed something")
	}
}
