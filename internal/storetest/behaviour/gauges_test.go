package behaviour

import (
	"regexp"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

var sqlBlock = regexp.MustCompile("(?s)## ([^\n]+)\n\n```sql\n(.*?)```")

// Every statement of docs/gauges.md runs, read only, and shows what it says.
func TestGauges(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.In(t, taskstore.Pending)
	stale := b.In(t, taskstore.Processing)
	b.In(t, taskstore.Failed)
	b.Row(t, taskstore.Processing, b.Now(t), b.Now(t)+3_600_000)
	b.Exec(t, "ALTER TABLE tasks DISABLE TRIGGER USER")
	b.Exec(t, "UPDATE tasks SET updated_at = updated_at - 90000, created_at = created_at - 90000")
	gauges := sqlBlock.FindAllStringSubmatch(storetest.File(t, "docs/gauges.md"), -1)
	if len(gauges) < 7 {
		t.Fatalf("found %d gauges", len(gauges))
	}
	for _, g := range gauges {
		name, sql := g[1], g[2]
		tx, err := b.Pool.BeginTx(t.Context(), pgx.TxOptions{AccessMode: pgx.ReadOnly})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := tx.Query(t.Context(), sql)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowToMap)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		switch name {
		case "Backlog":
			if got[0]["pending"] != int64(1) || got[0]["processing"] != int64(2) || got[0]["failed"] != int64(1) {
				t.Errorf("%s: %v", name, got)
			}
		case "In processing and silent for longer than a minute":
			if got[0]["silent"] != int64(1) || got[0]["oldest_id"] != stale.ID {
				t.Errorf("%s: %v", name, got)
			}
		case "Versions ahead of the clock":
			if got[0]["ahead"] != int64(1) || got[0]["in_processing"] != int64(1) {
				t.Errorf("%s: %v", name, got)
			}
		case "The oldest snapshot": // this database has one only by chance
		default:
			if len(got) == 0 {
				t.Errorf("%s shows nothing", name)
			}
		}
	}
}
