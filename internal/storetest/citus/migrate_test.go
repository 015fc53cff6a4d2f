package citus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/storetest"
)

// The way of docs/citus.md by its own commands, and then tasks that flow for TASKSTORE_RACE_TIME while connections are
// killed, or whole nodes by hand: nothing is lost or done twice, and verify sees no drift before and after.
func TestTheWayOfTheDocs(t *testing.T) {
	t.Parallel()
	onlyOnCitus(t)
	b := storetest.BareCitus(t)
	taskmigrate := filepath.Join(t.TempDir(), "taskmigrate")
	run(t, "go", "build", "-o", taskmigrate, "../../../cmd/taskmigrate")
	distribute := []string{"-X", "-v", "ON_ERROR_STOP=1", "-1", "-f", "../../../schema/citus.sql", b.URL}
	verify := []string{"verify", "--database-url", b.URL}
	run(t, taskmigrate, "up", "--database-url", b.URL)
	run(t, "psql", distribute...)
	run(t, "psql", distribute...)
	run(t, taskmigrate, verify...)
	start(t, b).race()
	run(t, taskmigrate, verify...)
}

func run(t *testing.T, command string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), command, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", filepath.Base(command), args, err, out)
	}
}

// verify sees no drift, however the tables are distributed. schema/citus.sql can be repeated, and running services go
// on after it.
func TestVerifySeesNoDrift(t *testing.T) {
	t.Parallel()
	b := setup(t)
	script := storetest.File(t, "schema/citus.sql")
	for _, step := range []string{
		script,
		`SELECT alter_distributed_table('tasks', shard_count => 4, cascade_to_colocated => true)`,
		script,
		`SELECT undistribute_table('tasks');
		SELECT undistribute_table('task_keys');
		SELECT undistribute_table('task_failures')`,
		script,
	} {
		if _, err := b.Connection(t).Exec(t.Context(), step, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%.60s: %v", step, err)
		}
		m, err := migrate.New(b.URL, migrate.Defaults())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Verify(t.Context()); err != nil {
			t.Errorf("after %.60s: %v", step, err)
		}
		if step != script {
			continue
		}
		task := b.Create(t, 1)
		if ts, err := b.Store.Claim(t.Context(), 1); err != nil || len(ts) != 1 || ts[0].ID != task.ID {
			t.Errorf("claimed %v with %v, want task %d", ts, err, task.ID)
		}
	}
}

// taskmigrate refuses a worker node, by name.
func TestWorkerNodesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := migrate.Up(t.Context(), workerURL(t, b), migrate.Defaults())
	var refusal *migrate.Error
	if !errors.As(err, &refusal) || !strings.Contains(fmt.Sprint(err), "worker node") {
		t.Errorf("error is %v", err)
	}
}

// up waits for a session of a worker node no longer than it may, and names it.
func TestUpNamesWhoHoldsItUpOnANode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var log dbtest.Journal
	opts := migrate.Defaults()
	opts.IndexWait, opts.Log = time.Second, slog.New(slog.NewTextHandler(&log, nil))
	m, err := migrate.New(b.URL, opts)
	if err != nil {
		t.Fatal(err)
	}
	back := migrate.DownOptions{To: 9, Confirm: dbtest.Name(t, b.URL), AllowDataLoss: true}
	if _, err := m.Down(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	blocker := dbtest.Connect(t, dbtest.With(t, workerURL(t, b), "application_name", "blocker"))
	hold := func() pgx.Tx {
		tx, err := blocker.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `SELECT FROM tasks`); err != nil {
			t.Fatal(err)
		}
		return tx
	}

	held := hold()
	done := storetest.Start(func() error { _, err := m.Up(t.Context(), 11); return err })
	dbtest.Eventually(t, func() string {
		for _, part := range []string{"file=00010_set_not_null.sql", `application \"blocker\"`, " on node ", "trying again"} {
			if !strings.Contains(log.String(), part) {
				return fmt.Sprintf("%q in the log: %s", part, &log)
			}
		}
		return ""
	})
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}

	held = hold()
	_, err = m.Up(t.Context(), migrate.Newest)
	var failure *migrate.Error
	if !errors.As(err, &failure) || failure.File != "00012_add_work_indexes.sql" ||
		!strings.Contains(failure.Message, `application "blocker"`) || !strings.Contains(failure.Message, " on node ") {
		t.Errorf("error is %v", err)
	}
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), migrate.Newest); err != nil {
		t.Error(err)
	}
}

// workerURL leads to b's database on a worker node.
func workerURL(t *testing.T, b *storetest.Bundle) string {
	t.Helper()
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	const ofWorker = ` FROM pg_dist_node WHERE groupid <> 0 ORDER BY nodeid LIMIT 1`
	host := storetest.One[string](t, b.Pool, `SELECT nodename`+ofWorker)
	port := storetest.One[int](t, b.Pool, `SELECT nodeport`+ofWorker)
	u.Host = net.JoinHostPort(host, strconv.Itoa(port))
	return u.String()
}
