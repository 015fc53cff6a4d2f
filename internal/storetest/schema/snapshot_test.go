package schema

import (
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/storetest"
)

// snapshot describes everything in the public schema that a migration may make or change, one line a
// thing, except goose's own table. Two equal snapshots are the same schema.
func snapshot(t *testing.T, db storetest.Querier) []string {
	t.Helper()
	all := lines(t, db, dbtest.CatalogQuery+" ORDER BY 1", "public")
	return slices.DeleteFunc(all, func(line string) bool { return strings.Contains(line, "tasks_goose_version") })
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
