package migrate

import (
	"database/sql"
	"strings"
	"testing"
	"testing/fstest"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/schema"
)

func TestAHistoryThatTheBinaryCannotContinueIsRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"an unknown version": `INSERT INTO tasks_goose_version (version_id, is_applied) VALUES (9000, true)`,
		"a gap":              `DELETE FROM tasks_goose_version WHERE version_id = 5`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := migrated(t)
			dbtest.Exec(t, b.url, change)
			before := dbtest.Contents(t, b.url)
			_, up := b.Up(t.Context(), Newest)
			_, down := b.Down(t.Context(), DownOptions{Confirm: dbtest.Name(t, b.url), AllowDataLoss: true})
			_, _, plan := b.Plan(t.Context(), Newest)
			_, adopt := b.Adopt(t.Context(), true)
			_, _, verify := b.Verify(t.Context())
			for command, err := range map[string]error{
				"up": up, "down": down, "plan": plan, "adopt": adopt, "verify": verify,
			} {
				if failure := wantKind(t, err, Conflict); failure.Hint == "" {
					t.Errorf("%s: no way out in %v", command, failure)
				}
			}
			if dbtest.Contents(t, b.url) != before {
				t.Error("something was changed")
			}
		})
	}
}

// Where only the record of a migration is lost, the hint has the statement that brings it back.
func TestAGapIsClosedByTheHint(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	dbtest.Exec(t, b.url, `DELETE FROM tasks_goose_version WHERE version_id IN (2, 5)`)
	_, err := b.Up(t.Context(), Newest)
	_, statement, _ := strings.Cut(wantKind(t, err, Conflict).Hint, "record them: ")
	dbtest.Exec(t, b.url, statement)
	b.finish(t)
}

func TestStatusReportsAFileThatHasChangedSince(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	if _, list, err := b.Status(t.Context()); err != nil || len(list) > 0 {
		t.Fatalf("before: %v, %+v", err, list)
	}
	changed := fstest.MapFS{}
	for _, s := range b.known {
		text, err := schema.FS.ReadFile(s.name)
		if err != nil {
			t.Fatal(err)
		}
		if s.version == 2 {
			text = append(text, "-- a late thought\n"...)
		}
		changed[s.name] = &fstest.MapFile{Data: text}
	}
	later := setupWith(t, b.url, func(o *Options) { o.FS = changed })
	_, list, err := later.Status(t.Context())
	if err != nil || len(list) != 1 || list[0].Kind != "history" || list[0].Object != "00002_comment_tasks.sql" {
		t.Errorf("%v, %+v", err, list)
	}
}

// Plain goose and taskmigrate take turns on one history, once somebody has said whose it is.
func TestPlainGooseSharesTheHistory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	db, err := sql.Open("pgx", b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	plain, err := goose.NewProvider(goose.DialectPostgres, db, schema.FS, goose.WithTableName(HistoryTable))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := plain.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	_, err = b.Up(t.Context(), Newest)
	_, claim, ok := strings.Cut(wantKind(t, err, Conflict).Hint, "from these migrations: ")
	if !ok {
		t.Fatalf("no way out in %v", err)
	}
	dbtest.Exec(t, b.url, claim)
	last := b.newest() - 1
	if _, err := b.Up(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	if results, err := plain.Up(t.Context()); err != nil || len(results) != 1 {
		t.Fatalf("plain goose applied %v, %v", results, err)
	}
	list, found, err := b.Status(t.Context())
	if err != nil || len(found) > 0 {
		t.Errorf("rows without a hash are not to be judged: %v, %+v", err, found)
	}
	for _, m := range list {
		if m.State != StateApplied || m.AppliedAt.IsZero() {
			t.Errorf("%+v", m)
		}
	}
	if n := dbtest.Value[int64](t, b.url, `SELECT count(sha256) FROM tasks_goose_version`); n != last-2 {
		t.Errorf("%d hashes, want those of 3 to %d", n, last)
	}
	down := DownOptions{To: last - 2, Confirm: dbtest.Name(t, b.url), AllowDataLoss: true}
	if _, err := b.Down(t.Context(), down); err != nil {
		t.Error(err)
	}
}
