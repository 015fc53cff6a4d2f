package schema

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
)

// builtBy tells which migration builds an index where it is missing.
var builtBy = map[string]int64{
	"idx_task":           3,
	"idx_integration_id": 11, "idx_user_id": 11, "idx_client_id": 11,
	"idx_account_id": 11, "idx_template_id": 11, "idx_status": 11,
	"idx_tasks_pending": 12, "idx_tasks_pending_batch": 12,
	"idx_tasks_pending_integration": 12, "idx_tasks_pending_template": 12,
}

// definitions returns the CREATE INDEX statement of each index in builtBy.
func definitions(t *testing.T, b *storetest.Bundle) map[string]string {
	t.Helper()
	rows, err := b.Admin.Query(t.Context(), `
		SELECT relname::text, replace(pg_get_indexdef(indexrelid), ' public.', ' ')
		FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indrelid = 'tasks'::regclass AND NOT indisprimary`)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	var name, definition string
	if _, err := pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		all[name] = definition
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if builtBy[name] == 0 {
			t.Fatalf("no migration is known to build %s", name)
		}
	}
	if len(all) != len(builtBy) {
		t.Fatalf("tasks has the indexes %v, want those of %v", all, builtBy)
	}
	return all
}

// without goes down to before a migration, and drops the indexes that it would build.
func without(t *testing.T, b *storetest.Bundle, version int64) {
	t.Helper()
	downTo(t, plainGoose(t, b), version-1)
	for name, by := range builtBy {
		if by == version {
			b.Exec(t, `DROP INDEX IF EXISTS `+name)
		}
	}
}

// interrupt leaves an index INVALID: it begins to build it concurrently, and gives up waiting for a writer.
func interrupt(t *testing.T, b *storetest.Bundle, definition string) {
	t.Helper()
	writer := b.Begin(t, pgx.ReadCommitted)
	if _, err := writer.Exec(t.Context(), `UPDATE tasks SET argument = ''`); err != nil {
		t.Fatal(err)
	}
	conn := ownerConnection(t, b)
	if _, err := conn.Exec(t.Context(), `SET lock_timeout = '1ms'`); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), concurrently(definition)); storetest.SQLState(err) != "55P03" {
		t.Fatalf("%s ended with %v", definition, err)
	}
	if err := writer.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func concurrently(definition string) string {
	return strings.Replace(definition, "INDEX ", "INDEX CONCURRENTLY ", 1)
}

func ownerConnection(t *testing.T, b *storetest.Bundle) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// refused fails the test unless going up ends with an error that names what is in the way, and changes nothing.
func refused(t *testing.T, b *storetest.Bundle, what string, version int64, inTheWay, of string) {
	t.Helper()
	before := snapshot(t, b.Admin)
	_, err := plainGoose(t, b).UpTo(t.Context(), version)
	if storetest.SQLState(err) != "55000" || !strings.Contains(err.Error(), inTheWay+" is in the way of index "+of) {
		t.Errorf("%s: error %v, want one that names it", what, err)
	}
	sameSchema(t, what, snapshot(t, b.Admin), before)
}

// An INVALID leftover of the wanted index is replaced. Whatever else has the index's name or its leftover's is
// refused by that name, and nothing is built, renamed or dropped.
func TestOnlyTheIndexItselfIsTakenForIt(t *testing.T) {
	t.Parallel()
	definitions := definitions(t, storetest.Setup(t))
	for name, version := range builtBy {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			p := plainGoose(t, b)
			migrated := snapshot(t, b.Admin)
			without(t, b, version)
			wanted, leftover := definitions[name], name+"_invalid"
			elsewhere := func(name string) string { return `CREATE INDEX ` + name + ` ON tasks_goose_version (id)` }
			for what, there := range map[string]struct{ kind, name, sql string }{
				"another column's":               {"INDEX", name, `CREATE INDEX ` + name + ` ON tasks (argument)`},
				"unique":                         {"INDEX", name, strings.Replace(wanted, "CREATE", "CREATE UNIQUE", 1)},
				"another table's":                {"INDEX", name, elsewhere(name)},
				"no index":                       {"SEQUENCE", name, `CREATE SEQUENCE ` + name},
				"the leftover's name, but valid": {"INDEX", leftover, strings.Replace(wanted, name, leftover, 1)},
				"the leftover's name, elsewhere": {"INDEX", leftover, elsewhere(leftover)},
			} {
				b.Exec(t, there.sql)
				refused(t, b, what, version, there.name, name)
				b.Exec(t, `DROP `+there.kind+` `+there.name)
			}
			interrupt(t, b, `CREATE INDEX `+name+` ON tasks (argument)`)
			refused(t, b, "another column's, INVALID", version, name, name)
			b.Exec(t, `DROP INDEX `+name)

			interrupt(t, b, wanted)
			upToNewest(t, p)
			sameSchema(t, "after a leftover", snapshot(t, b.Admin), migrated)

			// The same, where a run was stopped between renaming the leftover and dropping it.
			without(t, b, version)
			interrupt(t, b, wanted)
			b.Exec(t, `ALTER INDEX `+name+` RENAME TO `+leftover)
			upToNewest(t, p)
			sameSchema(t, "after a leftover that was renamed", snapshot(t, b.Admin), migrated)
		})
	}
}

// What has these names in another schema stays as it is. It does not count as ours, and where a DROP INDEX would
// find it, the migration refuses.
func TestIndexesOfAnotherSchemaAreLeftAlone(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `CREATE SCHEMA other`)
	b.Exec(t, `CREATE TABLE other.tasks (LIKE tasks)`)
	b.Exec(t, `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET search_path = public, other', current_database());
	END $$`)
	p := plainGoose(t, b) // with new sessions
	migrated := snapshot(t, b.Admin)
	for name, version := range builtBy {
		without(t, b, version)
		b.Exec(t, `CREATE INDEX `+name+` ON other.tasks (argument)`)
		upToNewest(t, p)
		sameSchema(t, name+" is in another schema, too", snapshot(t, b.Admin), migrated)

		if version != 11 { // its Down does nothing
			b.Exec(t, `DROP INDEX public.`+name)
			downTo(t, p, version)
			_, err := p.DownTo(t.Context(), version-1)
			if storetest.SQLState(err) != "55000" || !strings.Contains(err.Error(), name) {
				t.Errorf("%s is in another schema only: Down ended with %v, want an error that names it", name, err)
			}
		}
		b.Exec(t, `ALTER INDEX other.`+name+` RENAME TO `+name+`_invalid`)
		without(t, b, version)
		refused(t, b, "in another schema, with the leftover's name", version, name+"_invalid", name)
		b.Exec(t, `DROP INDEX other.`+name+`_invalid`) // it is still there
		upToNewest(t, p)
	}
}

// A build by somebody else is waited for, whether its index is ours or not. The wait holds no snapshot, for which
// that build would wait in turn.
func TestMigrationsWaitForABuildBySomebodyElse(t *testing.T) {
	t.Parallel()
	definitions := definitions(t, storetest.Setup(t))
	const theirs = `CREATE INDEX theirs ON tasks (argument)`
	for what, c := range map[string]struct {
		from, to int64
		builds   string
	}{
		"up with theirs under way":            {2, 3, theirs},
		"up with idx_task under way":          {2, 3, definitions["idx_task"]},
		"up that has nothing to do":           {10, 11, theirs},
		"up with idx_tasks_pending under way": {11, 12, definitions["idx_tasks_pending"]},
		"down of idx_task":                    {3, 2, theirs},
		"down of the work indexes":            {12, 11, theirs},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			p := plainGoose(t, b)
			downTo(t, p, c.from)
			writer := b.Begin(t, pgx.ReadCommitted) // the build waits for it
			if _, err := writer.Exec(t.Context(), `UPDATE tasks SET argument = ''`); err != nil {
				t.Fatal(err)
			}
			builder := ownerConnection(t, b)
			built := storetest.Start(func() error {
				_, err := builder.Exec(context.WithoutCancel(t.Context()), concurrently(c.builds))
				return err
			})
			pid := int32(builder.PgConn().PID())
			b.WaitFor(t, `SELECT cardinality(pg_blocking_pids($1)) > 0`, pid)
			building := storetest.One[uint32](t, b.Admin, `SELECT max(indexrelid) FROM pg_index WHERE NOT indisvalid`)

			migrated := storetest.Start(func() (err error) {
				if c.to > c.from {
					_, err = p.UpTo(context.WithoutCancel(t.Context()), c.to)
				} else {
					_, err = p.DownTo(context.WithoutCancel(t.Context()), c.to)
				}
				return err
			})
			const waits = `FROM pg_stat_activity WHERE datname = current_database() AND $1 = ANY(pg_blocking_pids(pid))`
			b.WaitFor(t, `SELECT count(*) > 0 `+waits, pid)
			if storetest.One[bool](t, b.Admin, `SELECT bool_or(backend_xmin IS NOT NULL) `+waits, pid) {
				t.Error("the migration waits with a snapshot")
			}
			if err := writer.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := <-built; err != nil {
				t.Errorf("their build ended with %v", err)
			}
			if err := <-migrated; err != nil {
				t.Errorf("the migration ended with %v", err)
			}
			const valid = `SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = $1 AND indisvalid)`
			if !storetest.One[bool](t, b.Admin, valid, building) {
				t.Error("the index that they built is not there")
			}
			upToNewest(t, p)
			got := lines(t, b.Admin, indexes, "public")
			for _, definition := range definitions {
				if !slices.Contains(got, definition+" valid") {
					t.Errorf("%s is missing in\n%s", definition, strings.Join(got, "\n"))
				}
			}
		})
	}
}
