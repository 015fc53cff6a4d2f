package upgrade

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/taskstore"
)

// shape is a way in which a database came to be managed.
type shape struct {
	name   string
	schema string
	before []string // what is there before taskmigrate
}

var shapes = []shape{
	{"new", "public", nil},
	{"in a schema of its own", "My App.v1", []string{`CREATE SCHEMA "My App.v1"`}},
	{"made by GORM", "public", []string{
		// As GORM's AutoMigrate makes it of the document's struct.
		`CREATE TABLE "tasks" ("id" bigserial,"integration_id" bigint NOT NULL,"user_id" bigint NOT NULL,` +
			`"client_id" bigint NOT NULL,"account_id" bigint NOT NULL,"template_id" bigint NOT NULL,` +
			`"argument" text NOT NULL,"status" integer NOT NULL DEFAULT 0,"created_at" bigint,"updated_at" bigint,` +
			`PRIMARY KEY ("id"))`,
		`CREATE INDEX IF NOT EXISTS "idx_integration_id" ON "tasks" ("integration_id")`,
		`CREATE INDEX IF NOT EXISTS "idx_user_id" ON "tasks" ("user_id")`,
		`CREATE INDEX IF NOT EXISTS "idx_client_id" ON "tasks" ("client_id")`,
		`CREATE INDEX IF NOT EXISTS "idx_account_id" ON "tasks" ("account_id")`,
		`CREATE INDEX IF NOT EXISTS "idx_template_id" ON "tasks" ("template_id")`,
		`CREATE INDEX IF NOT EXISTS "idx_status" ON "tasks" ("status")`,
		`INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
		 VALUES (1, 2, 3, 4, 5, '{}', 1721818960, 1721818960), (1, 2, 3, 4, 5, '{}', NULL, NULL)`,
	}},
}

// migrator is what taskmigrate would use.
func (s shape) migrator(t *testing.T, url string) *migrate.Migrator {
	t.Helper()
	opts := migrate.Defaults()
	opts.Schema = s.schema
	m, err := migrate.New(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// build makes the shape in an empty database, and works a little with it.
func (s shape) build(t *testing.T, url string) {
	t.Helper()
	dbtest.Exec(t, url, s.before...)
	m := s.migrator(t, url)
	if s.name == "made by GORM" {
		if _, err := m.Adopt(t.Context(), true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := m.Up(t.Context(), migrate.Newest); err != nil {
		t.Fatal(err)
	}
	s.work(t, url)
}

// work creates two tasks, completes one, and lets the other fail.
func (s shape) work(t *testing.T, url string) {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.RuntimeParams["search_path"] = `"` + s.schema + `"`
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	store := taskstore.New(pool)
	const own = 77 // of this integration no task is left pending
	ids, err := store.CreateMany(t.Context(), []taskstore.NewTask{{IntegrationID: own}, {IntegrationID: own}})
	if err != nil {
		t.Fatal(err)
	}
	var newest int64
	if err := pool.QueryRow(t.Context(), `SELECT max(id) FROM tasks`).Scan(&newest); err != nil || newest != ids[1] {
		t.Fatalf("new tasks have the ids %v, the newest in the table is %d: %v", ids, newest, err)
	}
	claimed, err := store.ClaimBy(t.Context(), taskstore.ByIntegration(own), 10)
	if err != nil || len(claimed) != 2 {
		t.Fatalf("claimed %d tasks, want 2: %v", len(claimed), err)
	}
	if err := store.Complete(t.Context(), claimed[0]); err != nil {
		t.Fatal(err)
	}
	if err := store.Fail(t.Context(), claimed[1]); err != nil {
		t.Fatal(err)
	}
	// The guard turns the seconds that another writer sends into milliseconds.
	var created int64
	err = pool.QueryRow(t.Context(), `
INSERT INTO tasks
    (integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
VALUES (1, 2, 3, 4, 5, '{}', 2, 1721818960, 1721818960) RETURNING created_at`).Scan(&created)
	if err != nil || created != 1721818960000 {
		t.Errorf("seconds are stored as %d: %v", created, err)
	}
}

// sound holds a database that has come to another server to what it was: verify finds nothing, up has nothing to do,
// and the store works.
func (s shape) sound(t *testing.T, url string) {
	t.Helper()
	m := s.migrator(t, url)
	if _, findings, err := m.Verify(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("verify: %v %+v", err, findings)
	}
	list, findings, err := m.Status(t.Context())
	if err != nil || len(findings) > 0 {
		t.Errorf("status: %v %+v", err, findings)
	}
	for _, migration := range list {
		if migration.State != migrate.StateApplied {
			t.Errorf("%s is %s", migration.Name, migration.State)
		}
	}
	list, err = m.Up(t.Context(), migrate.Newest)
	if err != nil {
		t.Error(err)
	}
	for _, migration := range list {
		if migration.DurationMS != nil {
			t.Errorf("up runs %s again", migration.Name)
		}
	}
	s.work(t, url)
}

// rows are the tasks, their keys and failures, and the history, as text.
func (s shape) rows(t *testing.T, url string) string {
	t.Helper()
	return dbtest.Value[string](t, dbtest.With(t, url, "search_path", `"`+s.schema+`"`), `
SELECT concat((SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM tasks AS r),
    (SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM task_keys AS r),
    (SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM task_failures AS r),
    (SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM tasks_goose_version AS r))`)
}
