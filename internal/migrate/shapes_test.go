package migrate

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

var updateDocs = flag.Bool("update-docs", false, "write docs/databases.md")

// tableShapes are shapes of the table beside those of its ids.
var tableShapes = []struct {
	name  string
	shape []string
	up    string
}{
	{"as documented", nil, "all files"},
	{"times in seconds", []string{insertTask, `UPDATE tasks SET updated_at = 1721818960`}, "converts the rows, slice by slice"},
	{"NULL or a status outside 0–3 in a row", brokenRows, ""},
	{"defaults of the times are lost", []string{`ALTER TABLE tasks ALTER created_at DROP DEFAULT`}, "restores them"},
	{"an index is missing", []string{`DROP INDEX idx_status`}, "builds it"},
	{"an index of that name on other columns", []string{`DROP INDEX idx_status`, `CREATE INDEX idx_status ON tasks (argument)`}, ""},
	{"fillfactor set by somebody", []string{`ALTER TABLE tasks SET (fillfactor = 70)`}, "keeps it, and sets what is unset"},
	{"a rule", []string{`CREATE RULE keep AS ON DELETE TO tasks DO INSTEAD NOTHING`}, ""},
	{"a child table", []string{`CREATE TABLE old_tasks () INHERITS (tasks)`}, ""},
	{"a trigger that fires after the guard", []string{
		`CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
		`CREATE TRIGGER zz_mark BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION mark()`,
	}, "all files; stops in the back-fill if the trigger undoes it"},
	{"a partitioned table", []string{`ALTER TABLE tasks RENAME TO t`, `CREATE TABLE tasks (LIKE t) PARTITION BY RANGE (id)`}, ""},
}

// docs/databases.md says of each shape what adopt really says. `go test ./internal/migrate -run Document -update-docs`
// writes it.
func TestDatabasesDocumentSaysWhatAdoptSays(t *testing.T) {
	t.Parallel()
	const path = "../../docs/databases.md"
	page := `# Databases that taskmigrate meets

A test makes each shape and reads here what ` + "`taskmigrate adopt`" + ` says of it. The last column is what
` + "`taskmigrate up`" + ` then does. A shape that blocks is left as it is: nothing is recorded and nothing is changed
until it is put right.

| shape | adopt | says | up |
|---|---|---|---|
`
	add := func(name string, shape []string, up string) {
		b := setup(t)
		dbtest.Exec(t, b.url, document.DDL)
		dbtest.Exec(t, b.url, shape...)
		adoption, err := b.Adopt(t.Context(), false)
		severity, says := "takes it", "nothing that concerns it"
		for _, want := range []string{catalog.Block, catalog.Repair, catalog.Note} {
			i := slices.IndexFunc(adoption.Findings, func(f catalog.Finding) bool {
				return f.Severity == want && f.Object != "idx_task"
			})
			if i >= 0 {
				severity, says = want, adoption.Findings[i].Cause
				break
			}
		}
		if blocks := severity == catalog.Block; blocks != (err != nil) {
			t.Errorf("%s: %s, and the error %v", name, severity, err)
		}
		switch severity {
		case catalog.Block:
			up = "goes on once that is done"
		case catalog.Repair:
			if up == "" {
				up = "puts it right"
			}
		default:
			if up == "" {
				up = "keeps it"
			}
		}
		page += fmt.Sprintf("| %s | %s | %s | %s |\n", name, severity, strings.ReplaceAll(says, "|", `\|`), up)
	}
	for _, s := range tableShapes {
		add(s.name, s.shape, s.up)
	}
	for _, s := range idShapes {
		add("ids: "+s.name, s.shape, "")
	}
	if *updateDocs {
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	written, err := os.ReadFile(path)
	if err != nil || string(written) != page {
		t.Errorf("%s is stale (%v): go test ./internal/migrate -run Document -update-docs", path, err)
	}
}
