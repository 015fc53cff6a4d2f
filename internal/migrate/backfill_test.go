package migrate

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/schema"
)

const unsoundRows = `SELECT count(*) FROM tasks WHERE ` + soundTimes + ` IS NOT TRUE`

const manyRows = `
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at)
SELECT 1, 2, 3, 4, 5, '{}', 1721818960 FROM generate_series(1, 2500)`

// Each slice is a transaction and a statement of its own.
func TestBackfillGoesSliceBySlice(t *testing.T) {
	t.Parallel()
	var last Progress
	b := adopted(t, func(o *Options) {
		o.Progress = func(p Progress) {
			if p.Phase == "back-fill" {
				last = p
			}
		}
	})
	dbtest.Exec(t, b.url, manyRows)
	if _, err := b.Up(t.Context(), 7); err != nil {
		t.Fatal(err)
	}
	if n := dbtest.Value[int](t, b.url, unsoundRows); n > 0 {
		t.Errorf("%d rows are unsound", n)
	}
	if n := dbtest.Value[int](t, b.url, `SELECT count(DISTINCT xmin::text) FROM tasks`); n != 8 {
		t.Errorf("%d transactions for a slice, want 8", n)
	}
	if last.Done != 2600 || last.Total < last.Done {
		t.Errorf("the last progress was %+v", last)
	}
}

// The block ends right where nobody repeats it, as plain goose does not.
func TestBackfillEndsRightInOneStatement(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	dbtest.Exec(t, b.url, manyRows)
	if _, err := b.Up(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, b.url, backfillBlock(t))
	if n := dbtest.Value[int](t, b.url, unsoundRows); n > 0 {
		t.Errorf("%d rows are unsound", n)
	}
}

func backfillBlock(t *testing.T) string {
	t.Helper()
	text, err := schema.FS.ReadFile("00007_backfill_times.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "-- +goose StatementBegin\n")
	block, _, _ = strings.Cut(block, "-- +goose StatementEnd")
	return block
}

// What keeps the guard from a row stops the run, with a reason, and the slice is as it was.
func TestBackfillStopsWhereRowsStayUnsound(t *testing.T) {
	t.Parallel()
	const undo = `CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN NEW.created_at := OLD.created_at; RETURN NEW; END'`
	for name, test := range map[string]struct {
		shape  []string
		reason string
	}{
		"a trigger that sorts after ours": {
			[]string{undo, `CREATE TRIGGER zz_undo BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION undo()`}, "zz_undo"},
		"suppress_redundant_updates_trigger": {
			[]string{`CREATE TRIGGER a_min BEFORE UPDATE ON tasks
FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`}, "a_min"},
		"session_replication_role": {
			[]string{`ALTER ROLE CURRENT_USER IN DATABASE %s SET session_replication_role = replica`}, "replica"},
		"ours is switched off": {[]string{`ALTER TABLE tasks DISABLE TRIGGER tasks_guard_update`},
			"tasks_guard_update is disabled"},
		"ours is gone": {[]string{`DROP TRIGGER tasks_guard_update ON tasks`}, "tasks_guard_update is missing"},
		"a rule":       {[]string{`CREATE RULE no_update AS ON UPDATE TO tasks DO INSTEAD NOTHING`}, "no_update"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := adopted(t, func(*Options) {})
			if _, err := b.Up(t.Context(), 6); err != nil {
				t.Fatal(err)
			}
			for _, sql := range test.shape {
				dbtest.Exec(t, b.url, strings.ReplaceAll(sql, "%s", dbtest.Name(t, b.url)))
			}
			_, err := b.Up(t.Context(), Newest)
			failure := wantKind(t, err, Failed)
			named := regexp.MustCompile(`ids \d+, \d+, \d+`).MatchString(failure.Message)
			if failure.File != "00007_backfill_times.sql" || !named ||
				!strings.Contains(failure.Hint, test.reason) {
				t.Errorf("up says %q, %q in %q", failure.Message, failure.Hint, failure.File)
			}
			if n := dbtest.Value[int](t, b.url, unsoundRows); n != 100 {
				t.Errorf("%d of 100 rows are as they were", n)
			}
		})
	}
}

// It commits eight times in a slice. Half-done is what has committed a change, and nothing else.
func TestABlockedBackfillTellsWhetherItHasCommitted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before []string
		locks  string
		want   Kind
	}{
		"by the rows of its first commit": {nil, `hashint8(id) & 7 = 0`, LockWait},
		"by the rows of its last commit":  {nil, `hashint8(id) & 7 = 7`, HalfDone},
		"behind a slice that is sound": {[]string{
			`UPDATE tasks SET created_at = updated_at`,
			`INSERT INTO tasks SELECT id, 1, 2, 3, 4, 5, '' FROM generate_series(101, 8000) AS id`,
			`SELECT setval('tasks_id_seq', 8000)`, manyRows,
		}, `id > 8000`, LockWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := adopted(t, func(o *Options) { o.IndexWait = time.Second })
			dbtest.Exec(t, b.url, test.before...)
			if _, err := b.Up(t.Context(), 6); err != nil {
				t.Fatal(err)
			}
			before := dbtest.Value[int](t, b.url, unsoundRows)
			release := b.open(t, pgx.ReadCommitted, `SELECT FROM tasks WHERE `+test.locks+` FOR UPDATE`)
			defer release()
			_, err := b.Up(t.Context(), 7)
			_ = wantKind(t, err, test.want)
			if changed := dbtest.Value[int](t, b.url, unsoundRows) < before; changed != (test.want == HalfDone) {
				t.Errorf("rows were converted: %v", changed)
			}
			release()
			b.finish(t)
		})
	}
}

// What an attempt has committed stays half-done when the next one, after a deadlock, comes no further.
func TestABackfillIsHalfDoneAfterARetryToo(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(o *Options) { o.LockRetries, o.LockTimeout = 1, time.Millisecond })
	if _, err := b.Up(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, b.url, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE EXCEPTION ''as in a deadlock'' USING ERRCODE = ''deadlock_detected''; END'`,
		`CREATE TRIGGER fail BEFORE UPDATE ON tasks FOR EACH ROW
WHEN (hashint8(OLD.id) & 7 = 7) EXECUTE FUNCTION fail()`)
	_, err := b.Up(t.Context(), 7)
	_ = wantKind(t, err, HalfDone)
	if n := strings.Count(b.log.String(), "trying again"); n != 1 {
		t.Errorf("tried again %d times, want 1", n)
	}
	dbtest.Exec(t, b.url, `DROP TRIGGER fail ON tasks`)
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
}

// Who locks several rows in the order of their ids is never in a deadlock with the back-fill, wherever the rows lie: it
// waits for the first of them and holds none behind it.
func TestTheBackfillLocksRowsInTheOrderOfTheirIDs(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	dbtest.Exec(t, b.url, `UPDATE tasks SET argument = '' WHERE id = 1`) // from now on it lies behind all others
	if _, err := b.Up(t.Context(), 6); err != nil {
		t.Fatal(err)
	}
	tx, err := dbtest.Connect(t, b.url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	send(t, tx.Conn(), `SELECT FROM tasks WHERE id = 1 FOR UPDATE`)
	done := make(chan error, 1)
	go func() {
		_, err := b.Up(context.WithoutCancel(t.Context()), 7)
		done <- err
	}()
	b.says(t, "msg=blocked", "file=00007_backfill_times.sql")
	send(t, tx.Conn(), `SELECT FROM tasks WHERE hashint8(id) & 7 = hashint8(1) & 7 ORDER BY id FOR UPDATE NOWAIT`)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.finish(t)
}
