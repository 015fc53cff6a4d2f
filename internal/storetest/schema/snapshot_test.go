package schema

import (
	"slices"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
)

// snapshot describes everything in the public schema that a migration may make or change, one line a
// thing, except goose's own table. Two equal snapshots are the same schema. Of a column's options, only
// those that people set count: PostgreSQL 15.20 keeps a number of its own there.
func snapshot(t *testing.T, db storetest.Querier) []string {
	t.Helper()
	return lines(t, db, `
		WITH ours AS (
			SELECT * FROM pg_class
			WHERE relnamespace = $1::regnamespace AND relname NOT LIKE 'goose_db_version%'
		)
		SELECT 'relation ' || concat_ws(' ', relkind, relname, relpersistence, reloptions::text) FROM ours
		UNION ALL
		SELECT 'column ' || concat_ws(' ', relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
			pg_get_expr(adbin, adrelid), attstorage,
			(SELECT array_agg(o) FROM unnest(attoptions) AS o WHERE o LIKE 'n\_distinct%'))
		FROM ours JOIN pg_attribute ON attrelid = ours.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
		WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
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
		FROM pg_proc WHERE pronamespace = $1::regnamespace
		UNION ALL
		SELECT 'type ' || typname FROM pg_type
		WHERE typnamespace = $1::regnamespace AND typname NOT LIKE '%goose_db_version%'
		UNION ALL
		SELECT 'sequence ' || concat_ws(' ', relname, format_type(seqtypid, NULL), seqstart, seqincrement, seqmax, seqmin,
			seqcache, seqcycle, 'owned by', refobjid::regclass, refobjsubid)
		FROM ours JOIN pg_sequence ON seqrelid = ours.oid
			LEFT JOIN pg_depend ON classid = 'pg_class'::regclass AND objid = ours.oid AND deptype = 'a'
		UNION ALL
		SELECT 'comment ' || concat_ws(' ', relname, objsubid, description)
		FROM ours JOIN pg_description ON objoid = ours.oid AND classoid = 'pg_class'::regclass
		ORDER BY 1`, "public")
}

func TestASnapshotLeavesOutWhatTheServerKeepsForItself(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	before := snapshot(t, b.Pool)
	b.Exec(t, `ALTER TABLE tasks ALTER user_id SET (n_distinct = 5)`)
	if slices.Equal(snapshot(t, b.Pool), before) {
		t.Error("a column's setting is not seen")
	}
	b.Exec(t, `ALTER TABLE tasks ALTER user_id RESET (n_distinct)`)
	b.Exec(t, `SET allow_system_table_mods = on;
		UPDATE pg_attribute SET attoptions = '{pg_attver=1}' WHERE attrelid = 'tasks'::regclass AND attnum > 0;
		RESET allow_system_table_mods`)
	sameSchema(t, "with a number of the server's own", snapshot(t, b.Pool), before)
}
