package migrate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

var brokenRows = []string{
	`ALTER TABLE tasks ALTER COLUMN argument DROP NOT NULL`,
	insertTask, insertTask, insertTask,
	`UPDATE tasks SET status = 7 WHERE id = 1`,
	`UPDATE tasks SET argument = NULL WHERE id = 3`,
}

func TestAdoptRefusesRowsThatAConstraintWouldRefuse(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL)
	dbtest.Exec(t, b.url, brokenRows...)
	before := dbtest.Contents(t, b.url)
	adoption, err := b.Adopt(t.Context(), true)
	_ = wantKind(t, err, Drift)
	if said := fmt.Sprint(adoption.Findings); !strings.Contains(said, "2 rows, the first ids 1, 3 "+catalog.Block) {
		t.Errorf("adopt says %s", said)
	}
	if dbtest.Contents(t, b.url) != before {
		t.Error("a refused adopt changed something")
	}
}

// Rows may break after adopt has looked. They are counted again while each can still be updated.
func TestUpRefusesRowsThatAConstraintWouldRefuseBeforeItAddsTheConstraint(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL)
	if _, err := b.Adopt(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, b.url, brokenRows...)
	_, err := b.Up(t.Context(), Newest)
	failure := wantKind(t, err, Failed)
	if !strings.HasSuffix(failure.File, "_add_checks.sql") || failure.SQLState != "23514" ||
		!strings.Contains(failure.Message, "2 rows") || !strings.Contains(failure.Message, "ids 1, 3") ||
		!strings.Contains(failure.Hint, "Correct or delete") {
		t.Errorf("up says %q, %q in %q", failure.Message, failure.Hint, failure.File)
	}
	const checks = `SELECT count(*) FROM pg_constraint WHERE conrelid = 'tasks'::regclass AND contype = 'c'`
	if n := dbtest.Value[int](t, b.url, checks); n > 0 {
		t.Errorf("%d checks were added", n)
	}
	dbtest.Exec(t, b.url,
		`UPDATE tasks SET updated_at = updated_at + 1`, // a heartbeat, of the broken rows too
		`UPDATE tasks SET status = 3 WHERE id = 1`, `DELETE FROM tasks WHERE id = 3`)
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	if _, list, err := b.Verify(t.Context()); err != nil || len(list) > 0 {
		t.Errorf("after up: %v, %+v", err, list)
	}
}
