package migrate

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// home is where the table is at home. The history is beside it.
type home struct {
	schema string
	others []string // schemas with a table tasks, where none was named and the search path has none
}

// settle makes the session its own: settings of the role or the database change nothing, and the search
// path is the schema of tasks alone. The first session of a call finds that schema. Until the path is set
// nothing may be called by its bare name: an earlier schema could have something of that name.
func (m *Migrator) settle(ctx context.Context, conn *pgx.Conn) (home, error) {
	var path []string
	const current = `SELECT pg_catalog.current_schemas(false)::pg_catalog.text[]`
	if err := conn.QueryRow(ctx, current).Scan(&path); err != nil {
		return home{}, err
	}
	if _, err := conn.Exec(ctx, `SET search_path TO pg_catalog, pg_temp`); err != nil {
		return home{}, err
	}
	if _, err := conn.Exec(ctx, sessionSettings); err != nil {
		return home{}, err
	}
	at := m.home
	if at.schema == "" {
		var err error
		if at, err = m.find(ctx, conn, path); err != nil {
			return home{}, err
		}
	}
	_, err := conn.Exec(ctx, `SELECT set_config('search_path', quote_ident($1) || ', pg_temp', false)`, at.schema)
	return at, err
}

// find finds the schema of tasks: the one that Options name, else the first on the path that has the
// table, else the one in which it would be created.
func (m *Migrator) find(ctx context.Context, conn *pgx.Conn, path []string) (home, error) {
	if m.opts.Schema != "" {
		return home{schema: m.opts.Schema}, mayUse(ctx, conn, m.opts.Schema)
	}
	rows, err := conn.Query(ctx, `
SELECT nspname::text, array_position($1::text[], nspname::text) IS NOT NULL
FROM pg_namespace JOIN pg_class ON relnamespace = pg_namespace.oid
WHERE relname = 'tasks' AND relkind IN ('r', 'p', 'f', 'v', 'm')
    AND nspname !~ '^pg_' AND nspname <> 'information_schema'
ORDER BY array_position($1::text[], nspname::text), nspname`, path)
	if err != nil {
		return home{}, err
	}
	var at home
	var schema string
	var onPath bool
	_, err = pgx.ForEachRow(rows, []any{&schema, &onPath}, func() error {
		if onPath && at.schema == "" {
			at.schema = schema
		}
		at.others = append(at.others, schema)
		return nil
	})
	if err != nil {
		return home{}, err
	}
	if at.schema != "" {
		at.others = nil
		return at, nil
	}
	for _, schema := range path {
		if !strings.HasPrefix(schema, "pg_") {
			at.schema = schema
			return at, nil
		}
	}
	return home{}, &Error{
		Kind: BadRequest, Message: "the search path has no schema",
		Hint: "name the one where tasks lives or is to be created: --schema NAME",
	}
}

// mayUse refuses a schema in which the role could see nothing.
func mayUse(ctx context.Context, conn *pgx.Conn, schema string) error {
	var may bool
	var role string
	const usage = `SELECT has_schema_privilege(oid, 'USAGE'), current_user::text FROM pg_namespace WHERE nspname = $1`
	switch err := conn.QueryRow(ctx, usage, schema).Scan(&may, &role); {
	case errors.Is(err, pgx.ErrNoRows):
		return &Error{
			Kind: BadRequest, Message: fmt.Sprintf("the database has no schema %q", schema),
			Hint: "create it: CREATE SCHEMA " + quoted(schema),
		}
	case err != nil:
		return err
	case !may:
		return &Error{
			Message: fmt.Sprintf("%q may not use schema %q", role, schema),
			Hint:    "GRANT USAGE ON SCHEMA " + quoted(schema) + " TO " + quoted(role),
		}
	}
	return nil
}

// refuseSecondTable returns an error where Up would create a table tasks beside that of another schema:
// who runs it may have forgotten a search path.
func (h home) refuseSecondTable() error {
	if len(h.others) == 0 {
		return nil
	}
	names := make([]string, len(h.others))
	for i, schema := range h.others {
		names[i] = quoted(schema)
	}
	return &Error{
		Kind: BadRequest,
		Message: fmt.Sprintf("schema %s has no table tasks, but there is one in %s; nothing was changed",
			quoted(h.schema), strings.Join(names, ", ")),
		Hint: "say which schema is meant: --schema NAME",
	}
}

// lockID is the key of the run lock. It follows the table, so that runs on another schema's table do not
// wait for each other.
func (h home) lockID() int64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte("taskmigrate " + h.schema))
	return int64(sum.Sum64())
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
