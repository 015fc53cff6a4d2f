package pages

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// busy is the batch that every row of the page counts belongs to.
var busy = taskstore.Batch{IntegrationID: 1, ClientID: 2, TemplateID: 3}

// table is a migrated database of a test's own, and what fills its table.
type table struct{ *storetest.Bundle }

func setup(t *testing.T) *table {
	t.Helper()
	return &table{storetest.Setup(t)}
}

// pending adds n pending tasks of the busy batch.
func (b *table) pending(t *testing.T, n int) {
	t.Helper()
	b.fill(t, n, taskstore.Pending, b.Now(t))
}

// finished adds n tasks of the busy batch that were completed long ago, and leaves the table as autovacuum
// would.
func (b *table) finished(t *testing.T, n int) {
	t.Helper()
	b.fill(t, n, taskstore.Completed, taskstore.MillisOf(storetest.LongAgo))
	b.Exec(t, "VACUUM (ANALYZE) tasks")
}

func (b *table) fill(t *testing.T, n int, st taskstore.Status, at taskstore.Millis) {
	t.Helper()
	b.Exec(t, `
		INSERT INTO tasks
			(integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
		SELECT $1, i % 5000, $2, i % 7000, $3, '{"n": 1}', $5, $6, $6
		FROM generate_series(1, $4::integer) AS i`,
		busy.IntegrationID, busy.ClientID, busy.TemplateID, n, int32(st), int64(at))
}

// holdSnapshot keeps a snapshot that sees the table as it is now until the test ends. It takes no lock.
func (b *table) holdSnapshot(t *testing.T) {
	t.Helper()
	storetest.One[string](t, b.Begin(t, pgx.RepeatableRead), "SELECT pg_current_snapshot()::text")
}

// dead leaves n dead entries at the head of the indexes of pending tasks: tasks that came and went. While
// a snapshot is held that is older, nothing can remove them.
func (b *table) dead(t *testing.T, n int) {
	t.Helper()
	b.pending(t, n)
	b.Exec(t, "UPDATE tasks SET status = 2, updated_at = updated_at + 1 WHERE status = 0")
	b.Exec(t, "VACUUM (ANALYZE) tasks")
}
