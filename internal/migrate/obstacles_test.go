package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// prepare leaves a prepared transaction behind that has run a statement.
func prepare(t *testing.T, url, name, sql string) {
	t.Helper()
	conn := dbtest.Connect(t, url)
	for _, sql := range []string{"BEGIN", sql, "PREPARE TRANSACTION '" + name + "'"} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// A prepared transaction has no process. It is named by name all the same.
func TestUpNamesAPreparedTransactionThatBlocksIt(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Setting("max_prepared_transactions", "10"))
	for version, file := range map[int64]string{2: "00003_add_idx_task.sql", 3: "00004_guard_tasks.sql"} {
		url, _, err := server.CreateDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b := setupWith(t, url, func(*Options) {})
		if _, err := b.Up(t.Context(), version); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint("forgotten ", version)
		prepare(t, url, name, insertTask)
		done := make(chan error, 1)
		go func() {
			_, err := b.Up(context.WithoutCancel(t.Context()), Newest)
			done <- err
		}()
		b.says(t, "msg=blocked", "file="+file, fmt.Sprintf(`by="prepared transaction \"%s\", user \"postgres\"`, name))
		dbtest.Exec(t, url, `ROLLBACK PREPARED '`+name+`'`)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestReviewNamesWhoIsInTheWay(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Setting("max_prepared_transactions", "10"), pgserver.Setting("wal_level", "logical"))
	b := setupWith(t, server.URL, func(*Options) {})
	if _, err := b.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	who := func() map[string]string {
		review, err := b.Review(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{}
		for _, o := range review.Obstacles {
			found[o.Why] += o.Who + "\n"
		}
		return found
	}
	if found := who(); len(found) > 0 {
		t.Errorf("in the way of nobody: %q", found)
	}
	dbtest.Exec(t, b.url,
		`SELECT pg_create_physical_replication_slot('lost_standby', true)`,
		`SELECT pg_create_logical_replication_slot('lost_reader', 'pgoutput')`)
	prepare(t, b.url, "locks tasks", insertTask)
	prepare(t, b.url, "keeps rows", `CREATE TABLE other ()`)
	release := b.open(t, pgx.RepeatableRead, `LOCK TABLE tasks IN ACCESS SHARE MODE`)
	defer release()
	found := who()
	for why, names := range map[string][]string{
		"holds a lock on tasks":                             {`prepared transaction "locks tasks"`, `application "blocker"`},
		"keeps VACUUM from cleaning up after the back-fill": {`prepared transaction "keeps rows"`},
		"keeps the WAL of a run on the disk": {
			`physical replication slot "lost_standby", which nobody reads, keeps 0.`,
			`logical replication slot "lost_reader", which nobody reads`, "the catalogs' rows from ",
		},
	} {
		for _, name := range names {
			if !strings.Contains(found[why], name) {
				t.Errorf("no %q among what %s: %q", name, why, found)
			}
		}
	}
	if len(found) != 3 {
		t.Errorf("in the way are %q", found)
	}
}

// An old snapshot and another's build are told beside locks.
func TestObstaclesAreOldSnapshotsAndBuildsOfOthers(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	release := b.open(t, pgx.RepeatableRead, `SELECT`)
	defer release()
	conn := dbtest.Connect(t, b.url)
	list, err := backends(t.Context(), conn, oldSnapshots, 0)
	list = slices.DeleteFunc(list, func(b backend) bool { return b.User == "" }) // autovacuum, which may come by
	if err != nil || len(list) != 1 || list[0].Application != "blocker" {
		t.Errorf("%v: %v", err, list)
	}
	if list, err := backends(t.Context(), conn, oldSnapshots, 3600); err != nil || len(list) > 0 {
		t.Errorf("%v: an hour old are %v", err, list)
	}

	built := make(chan error, 1)
	go func() {
		builder := dbtest.Connect(t, dbtest.With(t, b.url, "application_name", "builder"))
		_, err := builder.Exec(context.WithoutCancel(t.Context()), `CREATE INDEX CONCURRENTLY theirs ON tasks (argument)`)
		built <- err
	}()
	dbtest.Eventually(t, func() string {
		found, err := obstacles(t.Context(), conn)
		if err != nil {
			return err.Error()
		}
		for _, o := range found {
			if o.Why == "builds an index on tasks" && strings.Contains(o.Who, `application "builder"`) {
				return ""
			}
		}
		return "the build"
	})
	release()
	if err := <-built; err != nil {
		t.Error(err)
	}
}
