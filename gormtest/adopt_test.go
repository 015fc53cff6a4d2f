package gormtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// In whichever of its known shapes the table is found, it is adopted and migrated, then passes verify, and
// keeps every row.
func TestEveryShapeIsAdoptedAndRepaired(t *testing.T) {
	t.Parallel()
	origins := map[string]func(t *testing.T, url string){
		"the document's DDL": func(t *testing.T, url string) { dbtest.Exec(t, url, document.DDL) },
		"AutoMigrate":        autoMigrate,
		"the DDL after AutoMigrate": func(t *testing.T, url string) {
			dbtest.Exec(t, url, document.DDL)
			autoMigrate(t, url)
		},
	}
	const idxTask = `CREATE INDEX idx_task ON tasks (integration_id, client_id, template_id)`
	additions := map[string][]string{
		"no idx_task":         nil,
		"a valid idx_task":    {idxTask},
		"an INVALID idx_task": {idxTask, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_task'::regclass`},
	}
	removals := map[string][]string{
		"all six indexes": nil,
		"four indexes":    {`DROP INDEX idx_user_id`, `DROP INDEX idx_status`},
	}
	for origin, create := range origins {
		for addition, add := range additions {
			for removal, remove := range removals {
				t.Run(fmt.Sprint(origin, ", ", addition, ", ", removal), func(t *testing.T) {
					t.Parallel()
					url := dbtest.New(t)
					create(t, url)
					dbtest.Exec(t, url, add...)
					dbtest.Exec(t, url, remove...)
					holdToTheDocument(t, url)
				})
			}
		}
	}
}

func holdToTheDocument(t *testing.T, url string) {
	t.Helper()
	fill(t, url)
	m := migrator(t, url)
	kept := `concat_ws('|', id, integration_id, user_id, client_id, account_id, template_id, argument, status)`
	rows, before := column(t, url, kept), dbtest.Contents(t, url)

	shown, err := m.Adopt(t.Context(), false)
	if err != nil {
		t.Fatal(err, shown.Findings)
	}
	if dbtest.Contents(t, url) != before {
		t.Fatal("adopt without yes changed something")
	}
	if !strings.Contains(fmt.Sprint(shown.Findings), "autoCreateTime") {
		t.Errorf("rows in seconds are not reported: %v", shown.Findings)
	}
	if _, err := m.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	const versions = `SELECT string_agg(version_id::text, ',' ORDER BY id) FROM tasks_goose_version`
	if recorded := dbtest.Value[string](t, url, versions); recorded != "0,1" {
		t.Errorf("adopt recorded %s, want 0,1", recorded)
	}
	if again, err := m.Adopt(t.Context(), true); err != nil || !again.Already {
		t.Errorf("a second adopt: %+v, %v", again, err)
	}

	if _, err := m.Up(t.Context(), migrate.Newest); err != nil {
		t.Fatal(err)
	}
	if _, findings, err := m.Verify(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("after up: %v, %v", err, findings)
	}
	if column(t, url, kept) != rows {
		t.Error("a row is not as it was")
	}
	if got := column(t, url, `created_at`); !strings.HasPrefix(got, "1721818960000,1721818960936,") {
		t.Errorf("created_at is %s; want seconds turned into milliseconds, and milliseconds kept", got)
	}
	const wrong = `SELECT count(*) FROM tasks WHERE created_at < 100000000000 OR updated_at < 100000000000`
	if n := dbtest.Value[int](t, url, wrong); n > 0 {
		t.Errorf("%d rows are not in milliseconds", n)
	}
}

// fill writes rows by GORM, whose times are seconds, and others as foreign programs leave them.
func fill(t *testing.T, url string) {
	t.Helper()
	dbtest.Exec(t, url,
		`INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
		 VALUES (1, 2, 3, 4, 5, '{"project":"p"}', 1721818960, 1721818960),
			(1, 2, 3, 4, 5, '', 1721818960936, 1721818960936)`)
	task := Task{IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5, Argument: "by GORM", Status: 2}
	if err := open(t, url).Create(&task).Error; err != nil {
		t.Fatal(err)
	}
	const nullable = `SELECT NOT attnotnull FROM pg_attribute
		WHERE attrelid = 'tasks'::regclass AND attname = 'updated_at'`
	if dbtest.Value[bool](t, url, nullable) {
		dbtest.Exec(t, url, `
			INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
			VALUES (1, 2, 3, 4, 5, 'no times', NULL, NULL)`)
	}
}

func TestTheDocumentsProgramGoesOnWorking(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	if _, err := migrate.Up(t.Context(), url, migrate.Defaults()); err != nil {
		t.Fatal(err)
	}
	db := open(t, url)
	task := Task{IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5, Argument: "{}"}
	if err := db.Create(&task).Error; err != nil {
		t.Fatal(err)
	}
	var read Task
	if err := db.First(&read, task.ID).Error; err != nil {
		t.Fatal(err)
	}
	if read.Argument != "{}" || read.CreatedAt < 1e11 {
		t.Errorf("read %+v, want the argument back and milliseconds", read)
	}
	if err := db.Model(&read).Update("status", 1).Error; err != nil {
		t.Fatal(err)
	}
	read.Argument = "saved"
	if err := db.Save(&read).Error; err != nil {
		t.Fatal(err)
	}
	var saved Task
	if err := db.First(&saved, task.ID).Error; err != nil {
		t.Fatal(err)
	}
	if saved.Argument != "saved" || saved.Status != 1 || saved.UpdatedAt < 1e11 || saved.CreatedAt < 1e11 {
		t.Errorf("saved %+v", saved)
	}
	if err := db.Create(&Task{Argument: "x", Status: 9}).Error; err == nil {
		t.Error("a status of 9 was accepted")
	}
}

func TestVerifyTellsWhatAutoMigrateBroke(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	m := migrator(t, url)
	if _, err := m.Up(t.Context(), migrate.Newest); err != nil {
		t.Fatal(err)
	}
	autoMigrate(t, url)
	_, findings, err := m.Verify(t.Context())
	if failure, ok := errors.AsType[*migrate.Error](err); !ok || failure.Kind != migrate.Drift {
		t.Errorf("verify: %v, want kind %d", err, migrate.Drift)
	}
	if len(findings) == 0 {
		t.Fatal("nothing was found")
	}
	for _, f := range findings {
		if !strings.HasPrefix(f.Cause, "GORM AutoMigrate drops this") {
			t.Errorf("%s: cause %q", f.Object, f.Cause)
		}
	}
}
