package migrate

import (
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// Settings and comments that somebody has made stay through up, and down takes back ours alone.
func TestUpAndDownKeepSettingsAndCommentsOfOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL)
	dbtest.Exec(t, b.url,
		`ALTER TABLE tasks SET (fillfactor = 70, autovacuum_vacuum_cost_delay = 5, autovacuum_enabled = true)`,
		`COMMENT ON TABLE tasks IS 'owned by the team of billing, 100% "ours"'`,
		`COMMENT ON COLUMN tasks.status IS 'see the wiki''s page'`)
	const told = `
SELECT array_agg(DISTINCT option ORDER BY option)::text FROM pg_class, unnest(reloptions) AS option
WHERE oid = 'tasks'::regclass
UNION ALL
SELECT string_agg(objsubid || ' ' || description, E'\n' ORDER BY objsubid)
FROM pg_description WHERE objoid = 'tasks'::regclass`
	const all = `SELECT string_agg(line, E'\n') FROM (` + told + `) AS told (line)`
	before := dbtest.Value[string](t, b.url, all)
	if _, err := b.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	const kept = `
SELECT reloptions @> '{fillfactor=70,autovacuum_vacuum_cost_delay=5,autovacuum_enabled=true}'
    AND reloptions @> '{autovacuum_vacuum_threshold=5000}'
    AND obj_description(oid, 'pg_class') = 'owned by the team of billing, 100% "ours"'
    AND col_description(oid, 8) = 'see the wiki''s page' AND col_description(oid, 1) LIKE 'ID is assigned%'
FROM pg_class WHERE oid = 'tasks'::regclass`
	if !dbtest.Value[bool](t, b.url, kept) {
		t.Errorf("after up:\n%s", dbtest.Value[string](t, b.url, all))
	}
	if _, err := b.Down(t.Context(), DownOptions{To: 1, Confirm: dbtest.Name(t, b.url), AllowDataLoss: true}); err != nil {
		t.Fatal(err)
	}
	if after := dbtest.Value[string](t, b.url, all); after != before {
		t.Errorf("after down:\n%s\nbefore:\n%s", after, before)
	}
}
