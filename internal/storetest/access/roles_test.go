package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// roles are those of schema/roles.sql on a test's database. They have names of the test's own, because roles
// belong to the whole server. Each has a login, as a DBA would make it.
type roles struct {
	*storetest.Bundle
	suffix string
	script string
}

// setupRoles skips where the server's user may not create roles.
func setupRoles(t *testing.T) *roles {
	t.Helper()
	r := &roles{suffix: "_" + strings.ToLower(rand.Text()), script: storetest.File(t, "schema/roles.sql")}
	for _, group := range []string{"tasks_service", "tasks_migrate", "tasks_read"} {
		r.script = strings.ReplaceAll(r.script, group, group+r.suffix)
	}
	t.Cleanup(func() { r.drop(t) }) // after the database, which depends on them
	r.Bundle = storetest.Setup(t)
	r.Pool = r.Admin // whatever TASKSTORE_TEST_ROLE says: the roles here have other names
	if !storetest.One[bool](t, r.Admin, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`) {
		t.Skip("needs a superuser, to create roles and log in as them")
	}
	r.apply(t)
	for _, group := range []string{"tasks_service", "tasks_migrate", "tasks_read"} {
		r.Exec(t, fmt.Sprintf("CREATE ROLE login_%[1]s LOGIN PASSWORD '%[2]s'; GRANT %[1]s TO login_%[1]s",
			group+r.suffix, r.suffix))
	}
	migrator := "tasks_migrate" + r.suffix
	r.Exec(t, fmt.Sprintf("ALTER ROLE login_%[1]s SET role = '%[1]s'", migrator))
	r.Exec(t, "REVOKE CREATE ON SCHEMA public FROM PUBLIC") // as it is from PostgreSQL 15 on
	return r
}

// apply runs schema/roles.sql.
func (r *roles) apply(t *testing.T) {
	t.Helper()
	r.Exec(t, r.script)
}

// drop removes the roles, unless a failed test's database stays with them.
func (r *roles) drop(t *testing.T) {
	t.Helper()
	if r.Bundle == nil || t.Failed() {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	conn := r.Maintenance(t)
	defer conn.Close(ctx)
	for _, prefix := range []string{"login_", ""} {
		for _, group := range []string{"tasks_service", "tasks_migrate", "tasks_read"} {
			if _, err := conn.Exec(ctx, "DROP ROLE IF EXISTS "+prefix+group+r.suffix); err != nil {
				t.Error(err)
			}
		}
	}
}

// as is the URL of somebody who has logged in with a group's rights.
func (r *roles) as(t *testing.T, group string) string {
	t.Helper()
	u, err := url.Parse(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("login_"+group+r.suffix, r.suffix)
	return u.String()
}

func (r *roles) poolAs(t *testing.T, group string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), r.as(t, group))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// refused fails the test unless the server refuses each statement for want of a privilege.
func refused(t *testing.T, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := pool.Exec(t.Context(), sql); storetest.SQLState(err) != "42501" {
			t.Errorf("%s: %v; want it refused", sql, err)
		}
	}
}

func TestServiceRoleRunsEveryMethod(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	everyMethod(t, r.Bundle, r.poolAs(t, "tasks_service"))
}

func TestServiceRoleHasNoFurtherRights(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	r.Exec(t, "CREATE TABLE secrets (word text); GRANT TRUNCATE, TRIGGER ON tasks TO tasks_service"+r.suffix)
	r.apply(t) // takes back what was granted by hand
	refused(t, r.poolAs(t, "tasks_service"),
		"TRUNCATE tasks",
		"DROP TABLE tasks",
		"ALTER TABLE tasks ADD COLUMN more text",
		"ALTER TABLE tasks DISABLE TRIGGER tasks_guard_update",
		"CREATE TRIGGER mine BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION tasks_guard()",
		"CREATE INDEX mine ON tasks (argument)",
		"DROP INDEX idx_status",
		"COMMENT ON TABLE tasks IS 'mine'",
		"CREATE OR REPLACE FUNCTION tasks_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
		"CREATE TABLE mine ()",
		"CREATE ROLE mine",
		"SET ROLE tasks_migrate"+r.suffix,
		"SELECT setval('tasks_id_seq', 1)",
		"SELECT * FROM tasks_goose_version",
		"DELETE FROM tasks_goose_version",
		"SELECT * FROM secrets",
		"COPY tasks TO PROGRAM 'true'",
		"SELECT pg_read_file('PG_VERSION')",
	)
}

// The first migration and the last are run by the role; the grants come with the second run of the file.
func TestMigrationRoleMigratesAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	r.Exec(t, "DROP TABLE tasks, task_keys, task_failures, tasks_goose_version; DROP FUNCTION tasks_guard()")
	r.apply(t)
	if _, err := migrate.Up(t.Context(), r.as(t, "tasks_migrate"), migrate.Defaults()); err != nil {
		t.Fatal(err)
	}
	refused(t, r.poolAs(t, "tasks_service"), "SELECT * FROM tasks")
	r.apply(t)
	everyMethod(t, r.Bundle, r.poolAs(t, "tasks_service"))

	owners := storetest.One[string](t, r.Admin, `
		SELECT string_agg(DISTINCT owner, ' ') FROM (
			SELECT relowner::regrole::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
			UNION SELECT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
		) AS owned (owner)`)
	if want := "tasks_migrate" + r.suffix; owners != want {
		t.Errorf("the database's objects belong to %s, want %s", owners, want)
	}
}

// A table that the superuser owned changes hands, and can then be migrated in both directions.
func TestMigrationRoleTakesOverATable(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	m, err := migrate.New(r.as(t, "tasks_migrate"), migrate.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Down(t.Context(), migrate.DownOptions{To: 1, AllowDataLoss: true,
		Confirm: storetest.One[string](t, r.Admin, `SELECT current_database()`)}); err != nil {
		t.Fatal(err)
	}
	list, err := m.Up(t.Context(), migrate.Newest)
	if err != nil {
		t.Fatal(err)
	}
	for _, migration := range list {
		if migration.State != migrate.StateApplied {
			t.Errorf("%s is %s", migration.Name, migration.State)
		}
	}
	r.apply(t) // a new guard is the role's already
	everyMethod(t, r.Bundle, r.poolAs(t, "tasks_service"))
}

func TestReadRoleVerifiesAndChangesNothing(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	m, err := migrate.New(r.as(t, "tasks_read"), migrate.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	for name, look := range map[string]func(context.Context) ([]migrate.Migration, []catalog.Finding, error){
		"status": m.Status, "verify": m.Verify,
	} {
		list, findings, err := look(t.Context())
		if err != nil || len(findings) > 0 || len(list) == 0 {
			t.Errorf("%s: %d migrations, findings %v, %v", name, len(list), findings, err)
		}
	}
	refused(t, r.poolAs(t, "tasks_read"),
		"INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument) "+
			"VALUES (1, 1, 1, 1, 1, '')",
		"UPDATE tasks SET status = 0",
		"DELETE FROM tasks",
		"SELECT nextval('tasks_id_seq')",
		"SELECT id FROM tasks FOR UPDATE",
		"DELETE FROM tasks_goose_version",
	)
	if !storetest.One[bool](t, r.poolAs(t, "tasks_read"),
		`SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')`) {
		t.Error("it does not see what other users run")
	}
}

// That a role lacks a right is no task's fault: it is told so, and no task is passed over.
func TestReadRoleIsToldWhatItMayNot(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	r.In(t, taskstore.Pending)
	r.In(t, taskstore.Completed)
	s := taskstore.New(r.poolAs(t, "tasks_read"))
	_, claimed := s.Claim(t.Context(), 1)
	_, deleted := s.DeleteFinished(t.Context(), time.UnixMilli(int64(r.Now(t))+1000), 1)
	for what, err := range map[string]error{"Claim": claimed, "DeleteFinished": deleted} {
		if storetest.SQLState(err) != "42501" {
			t.Errorf("%s: %v", what, err)
		}
	}
}
