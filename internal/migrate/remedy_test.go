package migrate

import (
	"regexp"
	"testing"

	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

var statementInCause = regexp.MustCompile(`(BEGIN; ALTER|ALTER|DROP) .*$`)

// adoptAsTold runs the statement of the first finding that blocks until nothing blocks, and tells whether anything did.
func (b *bundle) adoptAsTold(t *testing.T) (refused bool) {
	t.Helper()
	for range 10 {
		adoption, err := b.Adopt(t.Context(), true)
		if err == nil {
			return refused
		}
		_ = wantKind(t, err, Drift)
		refused = true
		var statement string
		for _, f := range adoption.Findings {
			if f.Severity == catalog.Block && statement == "" {
				statement = statementInCause.FindString(f.Cause)
			}
		}
		dbtest.Exec(t, b.url, statement)
	}
	t.Fatal("what adopt tells to run leads nowhere")
	return true
}

// What adopt says of a shape that blocks is SQL that can be pasted.
func TestAdoptTellsWhatToRun(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]string{
		"narrow integers":    `ALTER TABLE tasks ALTER user_id TYPE integer, ALTER status TYPE smallint`,
		"a bounded argument": `ALTER TABLE tasks ALTER argument TYPE varchar(255)`,
		"timestamps":         inTimestamps,
		"a rule":             `CREATE RULE "Keep it" AS ON DELETE TO tasks DO INSTEAD NOTHING`,
		"a child":            `CREATE TABLE "Old tasks" () INHERITS (tasks)`,
		"a check": `ALTER TABLE tasks ALTER updated_at DROP DEFAULT,
ADD CONSTRAINT "in seconds" CHECK (updated_at < 9999999999)`,
	} {
		b := setup(t)
		dbtest.Exec(t, b.url, document.DDL, shape)
		if !b.adoptAsTold(t) {
			t.Errorf("%s: not refused", name)
		}
		b.finish(t)
	}
}

// A time of the type timestamptz is the same time in milliseconds afterwards.
func TestAdoptTellsHowToConvertTimestamps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dbtest.Exec(t, b.url, document.DDL, inTimestamps, insertTask,
		`UPDATE tasks SET created_at = '2024-07-24T07:42:40.936Z'`)
	b.adoptAsTold(t)
	if ms := dbtest.Value[int64](t, b.url, `SELECT created_at FROM tasks`); ms != 1721806960936 {
		t.Errorf("created_at is %d", ms)
	}
}

const inTimestamps = `ALTER TABLE tasks ALTER created_at DROP DEFAULT, ALTER updated_at DROP DEFAULT,
ALTER created_at TYPE timestamptz(3) USING now(), ALTER updated_at TYPE timestamptz USING now(),
ALTER created_at SET DEFAULT now(), ALTER updated_at SET DEFAULT now()`
