package migrate

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestVerifyNamesEachKindOfDrift(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, drift    string
		kind, object   string
		actual, remedy string
	}{
		{
			"a column is missing", `ALTER TABLE tasks DROP COLUMN argument`,
			"column", "tasks.argument", "missing", "dropped by hand",
		},
		{
			"a column has another type", `ALTER TABLE tasks ALTER COLUMN argument TYPE varchar(10)`,
			"column", "tasks.argument", "character varying(10)", "ALTER COLUMN",
		},
		{
			"a default is gone", `ALTER TABLE tasks ALTER COLUMN created_at DROP DEFAULT`,
			"column", "tasks.created_at", "none", "GORM AutoMigrate drops this default",
		},
		{
			"a default is another", `ALTER TABLE tasks ALTER COLUMN status SET DEFAULT 1`,
			"column", "tasks.status", "1", "SET DEFAULT 0",
		},
		{
			"NOT NULL is gone", `ALTER TABLE tasks ALTER COLUMN updated_at DROP NOT NULL`,
			"column", "tasks.updated_at", "NULL allowed", "GORM AutoMigrate drops this NOT NULL",
		},
		{
			"a check is gone", `ALTER TABLE tasks DROP CONSTRAINT tasks_status_check`,
			"constraint", "tasks_status_check", "missing", "ADD CONSTRAINT tasks_status_check",
		},
		{
			"a check is not valid",
			`ALTER TABLE tasks DROP CONSTRAINT tasks_status_check, ADD CONSTRAINT tasks_status_check
    CHECK (status BETWEEN 0 AND 3) NOT VALID`,
			"constraint", "tasks_status_check", "NOT VALID", "VALIDATE CONSTRAINT",
		},
		{
			"a check is another",
			`ALTER TABLE tasks DROP CONSTRAINT tasks_status_check, ADD CONSTRAINT tasks_status_check
    CHECK (status >= 0)`,
			"constraint", "tasks_status_check", "CHECK ((status >= 0))", "by hand",
		},
		{
			"the primary key is gone", `ALTER TABLE tasks DROP CONSTRAINT tasks_pkey`,
			"constraint", "tasks_pkey", "missing", "PRIMARY KEY (id)",
		},
		{
			"an index is gone", `DROP INDEX idx_tasks_pending`,
			"index", "idx_tasks_pending", "missing", "CREATE INDEX CONCURRENTLY idx_tasks_pending",
		},
		{
			"an index is on another column", `DROP INDEX idx_task; CREATE INDEX idx_task ON tasks (user_id)`,
			"index", "idx_task", "btree (user_id)", "rename",
		},
		{
			"an index has become unique",
			`DROP INDEX idx_task; CREATE UNIQUE INDEX idx_task ON tasks (integration_id, client_id, template_id)`,
			"index", "idx_task", "UNIQUE", "rename",
		},
		{
			"an index is not valid",
			`UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_task'::regclass`,
			"index", "idx_task", "INVALID", "interrupted CREATE INDEX CONCURRENTLY",
		},
		{
			"a trigger is gone", `DROP TRIGGER tasks_guard_update ON tasks`,
			"trigger", "tasks_guard_update", "missing", "CREATE TRIGGER",
		},
		{
			"a trigger is off", `ALTER TABLE tasks DISABLE TRIGGER tasks_guard_insert`,
			"trigger", "tasks_guard_insert", "disabled", "ENABLE TRIGGER tasks_guard_insert",
		},
		{
			"a trigger fires on other rows",
			`CREATE OR REPLACE TRIGGER tasks_guard_update BEFORE UPDATE ON tasks FOR EACH ROW
    EXECUTE FUNCTION tasks_guard()`,
			"trigger", "tasks_guard_update", "CREATE TRIGGER", "by hand",
		},
		{
			"a function is another",
			`CREATE OR REPLACE FUNCTION tasks_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
			"function", "tasks_guard()", "sha256", "00004_guard_tasks.sql",
		},
		{
			"the sequence belongs to nobody", `ALTER SEQUENCE tasks_id_seq OWNED BY NONE`,
			"sequence", "tasks.id", "of no column", "OWNED BY",
		},
		{
			"the table is a view",
			`ALTER TABLE tasks RENAME TO real_tasks; CREATE VIEW tasks AS SELECT * FROM real_tasks`,
			"table", "tasks", "view", "ordinary table",
		},
		{
			"a side table's column is another", `ALTER TABLE task_keys ALTER COLUMN key TYPE varchar(10)`,
			"side table", "task_keys.key", "character varying(10)", "00013_add_task_keys.sql",
		},
		{
			"a side table's index is gone", `DROP INDEX idx_task_failures_retry_at`,
			"side table", "task_failures.idx_task_failures_retry_at", "missing", "00014_add_task_failures.sql",
		},
		{"a side table is gone", `DROP TABLE task_keys`, "side table", "task_keys", "missing", "00013"},
		{"the table is gone", `DROP TABLE tasks`, "table", "tasks", "missing", ""},
		{
			"a file has changed", `UPDATE tasks_goose_version SET sha256 = 'another' WHERE version_id = 3`,
			"history", "00003_add_idx_task.sql", "another", "changed after it had been applied",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := migrated(t)
			dbtest.Exec(t, b.url, test.drift)
			_, list, err := b.Verify(t.Context())
			_ = wantKind(t, err, Drift)
			for _, f := range list {
				if f.Kind == test.kind && f.Object == test.object && strings.Contains(f.Actual, test.actual) &&
					strings.Contains(f.Cause, test.remedy) && f.Expected != "" && f.Severity == catalog.Block {
					return
				}
			}
			t.Errorf("not found; found %+v", list)
		})
	}
}

func TestVerifyTakesHarmlessAdditionsForNotes(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	dbtest.Exec(t, b.url,
		`ALTER TABLE tasks ADD COLUMN remark text`,
		`CREATE INDEX mine ON tasks (remark)`,
		`ALTER TABLE tasks ALTER COLUMN status TYPE bigint`,
		`ALTER INDEX idx_status RENAME TO ix_status`,
		`ALTER TABLE tasks SET (fillfactor = 70)`)
	_, list, err := b.Verify(t.Context())
	if err != nil {
		t.Fatalf("%v: %+v", err, list)
	}
	if len(list) != 5 {
		t.Errorf("%d notes, want 5: %+v", len(list), list)
	}
}

func TestVerifyFindsNothingAfterEachMigration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, s := range b.known {
		if _, err := b.Up(t.Context(), s.version); err != nil {
			t.Fatal(err)
		}
		if _, list, err := b.Verify(t.Context()); err != nil || len(list) > 0 {
			t.Errorf("after %s: %v, %+v", s.name, err, list)
		}
	}
}

func TestVerifyReadsOnly(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	before := dbtest.Contents(t, b.url)
	url := dbtest.With(t, b.url, "options", "-c default_transaction_read_only=on")
	readOnly := setupWith(t, url, func(*Options) {})
	if _, _, err := readOnly.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	if dbtest.Contents(t, b.url) != before {
		t.Error("verify changed something")
	}
}

// Names and types come out the same in any schema.
func TestVerifyFollowsTheSearchPath(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	dbtest.Exec(t, url, `CREATE SCHEMA app`)
	b := setupWith(t, dbtest.With(t, url, "search_path", "app"), func(*Options) {})
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	if _, list, err := b.Verify(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("%v: %+v", err, list)
	}
}
