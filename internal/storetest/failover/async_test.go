//go:build unix

package failover

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// gate is the line of a standby's configuration that keeps services away until the runbook has been run.
func gate(t *testing.T) string {
	t.Helper()
	return "default_transaction_read_only" + inDocs(t, "```\ndefault_transaction_read_only", "\n")[0]
}

// clock makes statement_timestamp() stand still at a time in the sessions of withClock.
const clock = `
	CREATE SCHEMA clock;
	CREATE FUNCTION clock.statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql
		AS $$ SELECT current_setting('clock.now')::timestamptz $$`

func withClock(at time.Time) func(*pgxpool.Config) {
	return func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["search_path"] = "clock, pg_catalog, public"
		c.ConnConfig.RuntimeParams["clock.now"] = at.Format(time.RFC3339Nano)
		c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "off" // it does not stop at the gate
	}
}

func asIs(*pgxpool.Config) {}

// An asynchronous standby takes over from a primary that had not sent it all. What was acknowledged meanwhile is lost,
// leases too, and one of those may be accepted again. After the runbook none is.
func TestAsynchronousFailover(t *testing.T) {
	t.Parallel()
	primary := startPrimary(t)
	primary.needs("pg_basebackup")
	primary.exec(clock)
	standby := primary.newStandby()
	standby.must(appendTo(filepath.Join(standby.data, "postgresql.conf"), gate(t)+"\n"))
	standby.start()

	service := connect(t, asIs, primary, standby)
	store := taskstore.New(service)
	claim := func(s *taskstore.Store, integration int64) []taskstore.Task {
		t.Helper()
		tasks, err := s.ClaimBy(t.Context(), taskstore.ByIntegration(integration), 10)
		if err != nil || len(tasks) != 5 {
			t.Fatalf("claimed %d tasks, %v; want 5", len(tasks), err)
		}
		return tasks
	}
	create := func(integration int64, n int) []int64 {
		t.Helper()
		ids, err := store.CreateMany(t.Context(), slices.Repeat([]taskstore.NewTask{{IntegrationID: integration}}, n))
		primary.must(err)
		return ids
	}
	const ( // integrations whose tasks the load does not come by
		held = 1_000_001 + iota
		hasty
		careful
		gone
	)
	l := startLoad(t, primary)
	l.goOn()
	create(held, 5)
	kept := claim(store, held)
	create(hasty, 5)
	create(careful, 5)
	written := ask[string](primary, `SELECT pg_current_wal_lsn()::text`)
	standby.waitFor(`SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn`, written)

	// From here on the standby gets nothing.
	standby.stop()
	lost := create(gone, 200)
	renewed := slices.Clone(kept)
	primary.must(store.Heartbeat(t.Context(), renewed))
	at := time.Now()
	before := taskstore.New(connect(t, withClock(at), primary))
	dead := map[int64][]taskstore.Task{hasty: claim(before, hasty), careful: claim(before, careful)}
	primary.must(store.Complete(t.Context(), renewed[4]))
	l.goOn()
	l.end()
	primary.stop()
	standby.start()
	standby.promote()

	// The writes are lost, though they were acknowledged.
	denied := strings.Join(l.audit(standby), "\n")
	for _, what := range []string{
		"was created, and is not there", "was completed, and is", "was given version", "was told to be",
	} {
		if !strings.Contains(denied, what) {
			t.Errorf("of the load no task %s", what)
		}
	}
	conn := standby.session()
	defer conn.Close(context.WithoutCancel(t.Context()))
	if n := ask[int](standby, `SELECT count(*) FROM tasks WHERE id = ANY ($1)`, lost); n != 0 {
		t.Errorf("%d tasks of the lost timeline are there", n)
	}
	if row := storetest.StoredTask(t, conn, kept[4].ID); row != kept[4] {
		t.Errorf("a task that was completed on the lost timeline is %v; want it as before, %v", row, kept[4])
	}
	// If a service does not wait, and the clock reads what it read when the lost leases were made, its leases are the
	// same as those. So the lost ones are accepted again.
	rash := taskstore.New(connect(t, withClock(at), standby))
	claim(rash, hasty)
	if err := rash.Complete(t.Context(), dead[hasty]...); err != nil {
		t.Errorf("leases of the lost timeline were told from others, by chance: %v", err)
	}
	again, err := rash.CreateMany(t.Context(), storetest.NewTasks(5000)) // more than the load creates meanwhile
	standby.must(err)
	if !slices.ContainsFunc(again, func(id int64) bool { return slices.Contains(lost, id) }) {
		t.Errorf("ids %v to %v were not given out again", lost[0], lost[len(lost)-1])
	}

	// The others wait until the runbook has been run.
	eventually(t, "a service that is turned away at the gate", func() bool {
		return errors.Is(service.Ping(t.Context()), pgconn.ErrReadOnlyConnection)
	})
	for _, block := range inDocs(t, "```sql\n", "```") {
		for sql := range strings.SplitSeq(strings.TrimSuffix(block, ";\n"), ";\n") {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
	}
	eventually(t, "a service that gets through the gate", func() bool { return service.Ping(t.Context()) == nil })

	live := claim(rash, careful) // on the worst of clocks, as before
	for _, tasks := range [][]taskstore.Task{dead[careful], renewed, kept} {
		refused(t, store, tasks)
	}
	again, err = store.CreateMany(t.Context(), storetest.NewTasks(500))
	standby.must(err)
	if i := slices.IndexFunc(again, func(id int64) bool { return slices.Contains(lost, id) }); i >= 0 {
		t.Errorf("id %d, of a lost task, was given out again", again[i])
	}
	if err := store.Complete(t.Context(), live...); err != nil {
		t.Errorf("leases from after the runbook: %v", err)
	}
	claim(taskstore.New(service), held) // others can claim what was in processing
}

// refused fails the test if anything that takes a version takes these.
func refused(t *testing.T, s *taskstore.Store, tasks []taskstore.Task) {
	t.Helper()
	storetest.WantConflict(t, s.Heartbeat(t.Context(), slices.Clone(tasks)), storetest.IDs(tasks)...)
	for _, f := range storetest.Finishes {
		storetest.WantConflict(t, f.End(s, t.Context(), tasks...), storetest.IDs(tasks)...)
	}
	for _, task := range tasks {
		_, err := s.Update(t.Context(), task)
		storetest.WantError(t, err, taskstore.ErrConflict)
		_, err = s.SetStatus(t.Context(), task, taskstore.Completed)
		storetest.WantError(t, err, taskstore.ErrConflict)
	}
}

func appendTo(file, line string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line)
	return errors.Join(err, f.Close())
}
