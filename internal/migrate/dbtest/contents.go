package dbtest

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Contents describes all that a database holds in the schema public, rows of the history and of tasks
// included: equal before and after means that nothing has changed.
func Contents(t testing.TB, address string) string {
	t.Helper()
	parts := []string{Catalog(t, address)}
	for _, table := range []string{"tasks_goose_version", "tasks"} {
		if Value[bool](t, address, `SELECT to_regclass($1) IS NOT NULL`, table) {
			parts = append(parts, Value[string](t, address, `
SELECT coalesce(string_agg(r::text, E'\n' ORDER BY r::text), '') FROM `+pgx.Identifier{table}.Sanitize()+` AS r`))
		}
	}
	return strings.Join(parts, "\n--\n")
}

// Catalog is what CatalogQuery tells of the schema public, one line a thing.
func Catalog(t testing.TB, address string) string {
	t.Helper()
	return CatalogOf(t, address, "public")
}

// CatalogOf is what CatalogQuery tells of a schema.
func CatalogOf(t testing.TB, address, schema string) string {
	t.Helper()
	const all = `
SELECT coalesce(string_agg(line, E'\n' ORDER BY line), '') FROM (` + CatalogQuery + `) AS everything (line)`
	return Value[string](t, address, all, schema)
}

// CatalogQuery describes everything in the schema $1 that a migration may make or change, one line a thing.
// Of a column's options, only those that people set count: PostgreSQL 15.20 keeps a number of its own there.
const CatalogQuery = `
WITH ours AS (SELECT * FROM pg_class WHERE relnamespace = quote_ident($1)::regnamespace)
SELECT 'relation ' || concat_ws(' ', relkind, relname, relpersistence, reloptions::text) FROM ours
UNION ALL
SELECT 'column ' || concat_ws(' ', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
    pg_get_expr(adbin, adrelid), attstorage,
    (SELECT array_agg(o) FROM unnest(attoptions) AS o WHERE o LIKE 'n\_distinct%'))
FROM ours JOIN pg_attribute ON attrelid = ours.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'index ' || concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisready, indislive)
FROM ours JOIN pg_index ON indrelid = ours.oid
UNION ALL
SELECT 'constraint ' || concat_ws(' ', relname, conname, pg_get_constraintdef(pg_constraint.oid), convalidated)
FROM ours JOIN pg_constraint ON conrelid = ours.oid
UNION ALL
SELECT 'trigger ' || concat_ws(' ', pg_get_triggerdef(pg_trigger.oid), tgenabled)
FROM ours JOIN pg_trigger ON tgrelid = ours.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'function ' || pg_get_functiondef(oid) || coalesce(obj_description(oid, 'pg_proc'), '')
FROM pg_proc WHERE pronamespace = quote_ident($1)::regnamespace
UNION ALL
SELECT 'type ' || typname FROM pg_type WHERE typnamespace = quote_ident($1)::regnamespace
UNION ALL
SELECT 'sequence ' || concat_ws(' ', relname, format_type(seqtypid, NULL), seqstart, seqincrement, seqmax, seqmin,
    seqcache, seqcycle, 'owned by', refobjid::regclass, refobjsubid)
FROM ours JOIN pg_sequence ON seqrelid = ours.oid
    LEFT JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = ours.oid AND deptype = 'a'
UNION ALL
SELECT 'comment ' || concat_ws(' ', relname, objsubid, description)
FROM ours JOIN pg_description ON objoid = ours.oid AND classoid = 'pg_class'::regclass`
