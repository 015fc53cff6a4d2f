package migrate

import (
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// What the report foretells of a back-fill is about what the server then writes, with and without whole pages.
func TestReviewForetellsWhatTheBackfillWrites(t *testing.T) {
	t.Parallel()
	for _, wholePages := range []string{"on", "off"} {
		t.Run("full_page_writes "+wholePages, func(t *testing.T) {
			t.Parallel()
			server := ownServer(t, pgserver.Setting("full_page_writes", wholePages), pgserver.Setting("autovacuum", "off"))
			b := setupWith(t, server.URL, func(*Options) {})
			if _, err := b.Up(t.Context(), 6); err != nil {
				t.Fatal(err)
			}
			// Full pages, as those of a table that is adopted.
			dbtest.Exec(t, b.url, `ALTER TABLE tasks SET (fillfactor = 100)`, `ALTER TABLE tasks DISABLE TRIGGER USER`, `
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at)
SELECT n, n, n, n, n, repeat('x', 100), CASE WHEN n % 3 = 0 THEN 1721818960 ELSE 1721818960000 END
FROM generate_series(1, 6000) AS n`, `ALTER TABLE tasks ENABLE TRIGGER USER`, `VACUUM ANALYZE tasks`, `CHECKPOINT`)
			review, err := b.Review(t.Context())
			if err != nil || review.Backfill == nil {
				t.Fatalf("%v: %+v", err, review.Backfill)
			}
			foretold := *review.Backfill
			if foretold.Rows != 6000 || foretold.Rewrites != 2000 {
				t.Errorf("of %d rows %d are to be written, want 2000 of 6000", foretold.Rows, foretold.Rewrites)
			}
			const wal = `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`
			const size = `SELECT pg_relation_size('tasks')`
			before, heap := dbtest.Value[int64](t, b.url, wal), dbtest.Value[int64](t, b.url, size)
			if _, err := b.Up(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
			written := dbtest.Value[int64](t, b.url, wal) - before
			// More where a snapshot of a busy server keeps new versions from staying on their page.
			if foretold.WALBytes < written/3 || foretold.WALBytes > written*3/2 {
				t.Errorf("foretold are %d bytes of WAL, and %d were written", foretold.WALBytes, written)
			}
			grown := dbtest.Value[int64](t, b.url, size) - heap
			if grown == 0 || foretold.HeapBytes < grown*2/3 { // pages with room take new versions without growing
				t.Errorf("foretold are %d bytes of growth, and it grew by %d", foretold.HeapBytes, grown)
			}
			if review, err := b.Review(t.Context()); err != nil || review.Backfill != nil {
				t.Errorf("after the back-fill: %v, %+v", err, review.Backfill)
			}
		})
	}
}
