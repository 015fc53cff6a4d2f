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

// shape is what somebody has done to the documented table.
type shape struct {
	name string
	sql  []string
}

// inSeconds is a row that the back-fill has to convert.
var inSeconds = []string{insertTask, `UPDATE tasks SET updated_at = 1721818960`}

// tableShapes are shapes of the table beside those of its ids.
var tableShapes = []shape{
	{"as documented", nil},
	{"times in seconds", inSeconds},
	{"NULL or a status outside 0–3 in a row", brokenRows},
	{"defaults of the times are lost", []string{`ALTER TABLE tasks ALTER created_at DROP DEFAULT`}},
	{"an index is missing", []string{`DROP INDEX idx_status`}},
	{"an index of that name on other columns", []string{
		`DROP INDEX idx_status`, `CREATE INDEX idx_status ON tasks (argument)`}},
	{"an index of another table has a name of ours", []string{
		`DROP INDEX idx_status`, `CREATE TABLE orders (status bigint)`, `CREATE INDEX idx_status ON orders (status)`}},
	{"a check that takes times in seconds only", []string{
		`ALTER TABLE tasks ALTER updated_at DROP DEFAULT, ADD CONSTRAINT seconds CHECK (updated_at < 9999999999)`}},
	{"a column of a narrower type", []string{`ALTER TABLE tasks ALTER user_id TYPE integer`}},
	{"times of the type timestamptz", []string{inTimestamps}},
	{"fillfactor set by somebody", []string{`ALTER TABLE tasks SET (fillfactor = 70)`}},
	{"a rule", []string{`CREATE RULE keep AS ON DELETE TO tasks DO INSTEAD NOTHING`}},
	{"a child table", []string{`CREATE TABLE old_tasks () INHERITS (tasks)`}},
	{"a row with an id at the end of bigint", []string{
		insertTask, `INSERT INTO tasks SELECT 9223372036854775807, 1, 1, 1, 1, 1, ''`}},
	{"a trigger that fires after the guard", triggerAfterGuard("RETURN NEW;")},
	{"a trigger that undoes what the guard does", slices.Concat(inSeconds, triggerAfterGuard("RETURN OLD;"))},
	{"row-level security that binds the migrating role", []string{forceRowSecurity, asOwner}},
	{"a partitioned table", []string{
		`ALTER TABLE tasks RENAME TO t`, `CREATE TABLE tasks (LIKE t) PARTITION BY RANGE (id)`}},
}

func triggerAfterGuard(does string) []string {
	return []string{
		`CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN ` + does + ` END'`,
		`CREATE TRIGGER zz_mark BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION mark()`,
	}
}

// asOwner is no SQL: it has the table's owner migrate, who is no superuser.
const asOwner = ""

// docs/databases.md says of each shape what adopt really says and what up really does.
// `go test ./internal/migrate -run Document -update-docs` writes it.
func TestDatabasesDocumentSaysWhatTaskmigrateDoes(t *testing.T) {
	t.Parallel()
	const path = "../../docs/databases.md"
	page := `# Databases that taskmigrate meets

A test makes each shape, runs ` + "`taskmigrate adopt --yes` and `taskmigrate up`" + `, and writes down here what
they say and do. A shape that blocks is left as it is: nothing is recorded and nothing is changed until it is put right.

| shape | adopt | says | up |
|---|---|---|---|
`
	shapes := slices.Clone(tableShapes)
	for _, s := range idShapes {
		shapes = append(shapes, shape{"ids: " + s.name, s.shape})
	}
	lines := make([]string, len(shapes))
	t.Run("shapes", func(t *testing.T) { // ends with the last of them
		for i, s := range shapes {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				lines[i] = meet(t, s)
			})
		}
	})
	page += strings.Join(lines, "")
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

// meet adopts and migrates a table of a shape, and returns its line of the document.
func meet(t *testing.T, s shape) string {
	t.Helper()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL)
	for _, sql := range s.sql {
		if sql != asOwner {
			dbtest.Exec(t, b.url, sql)
			continue
		}
		role, url := withRole(t, b.url)
		dbtest.Exec(t, b.url, `GRANT CREATE ON SCHEMA public TO `+role, `ALTER TABLE tasks OWNER TO `+role)
		b = setupWith(t, url, func(*Options) {})
	}
	adoption, refused := b.Adopt(t.Context(), true)
	worst := catalog.Finding{Severity: "takes it", Cause: "nothing that concerns it"}
	for _, severity := range []string{catalog.Note, catalog.Repair, catalog.Block} {
		for _, f := range slices.Backward(adoption.Findings) {
			if f.Severity == severity && f.Object != "idx_task" { // which no documented table has
				worst = f
			}
		}
	}
	if blocks := worst.Severity == catalog.Block; blocks != (refused != nil) {
		t.Errorf("adopt found %+v and ended with %v", worst, refused)
	}
	return fmt.Sprintf("| %s | %s | %s | %s |\n", s.name, worst.Severity, strings.ReplaceAll(worst.Cause, "|", `\|`),
		migrateShape(t, b, worst))
}

// migrateShape runs up and tells what became of what adopt found.
func migrateShape(t *testing.T, b *bundle, found catalog.Finding) string {
	t.Helper()
	_, err := b.Up(t.Context(), Newest)
	if found.Severity == catalog.Block {
		_ = wantKind(t, err, Unmanaged)
		return "refuses the table until it is put right and adopted"
	}
	if err != nil {
		reason, _, _ := strings.Cut(asError(t.Context(), err).Error(), "; applied by this run")
		return "stops: " + reason
	}
	_, left, err := b.Verify(t.Context())
	if err != nil {
		t.Errorf("verify: %v, %+v", err, left)
	}
	rows, err := judgeRows(t.Context(), dbtest.Connect(t, b.url))
	if err != nil {
		t.Fatal(err)
	}
	same := func(f catalog.Finding) bool { return f.Kind == found.Kind && f.Object == found.Object }
	switch {
	case found.Object == "":
		return "applies all files"
	case slices.ContainsFunc(append(left, rows...), same):
		return "applies all files and keeps it"
	}
	return "applies all files and puts it right"
}
