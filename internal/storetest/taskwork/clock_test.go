package taskwork

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// The database's clock jumps an hour ahead and an hour back, again and again. To each jump ahead all leases seem silent
// for an hour; what is claimed then lies ahead of the clock when that is sound again, and so do the times of retries.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	clock := newClock(t)
	s := newScene(t, ownServer(t, clock.options()...), 600)
	s.Exec(t, `
		CREATE TABLE claims (task_id bigint, version bigint);
		CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO claims VALUES (NEW.id, NEW.updated_at);
			RETURN NULL;
		END $$;
		CREATE TRIGGER note_claim AFTER UPDATE ON tasks FOR EACH ROW
			WHEN (OLD.status = 0 AND NEW.status = 1) EXECUTE FUNCTION note_claim()`)
	s.worker(t, s.Pool, config())
	s.worker(t, s.Pool, config())
	const hour = 3600
	done := 0
	for _, ahead := range []int{hour, 0, -hour, hour, -hour, hour} {
		done += 90
		s.completed(t, strconv.Itoa(done))
		clock.set(t, ahead)
	}
	silent := s.Row(t, taskstore.Processing, s.Now(t), s.Now(t)) // of a worker that died, an hour ahead of the clock
	s.tasks++
	clock.set(t, 0)
	s.until(t, "all but what is due in an hour completed", `
		SELECT NOT EXISTS (
			SELECT FROM tasks LEFT JOIN task_failures ON task_id = id
			WHERE status <> 2
				AND (status <> 3 OR retry_at < (extract(epoch FROM clock_timestamp()) + 1800) * 1000))`)
	failed := storetest.One[[]int64](t, s.Admin, `SELECT coalesce(array_agg(id), '{}') FROM tasks WHERE status = 3`)
	if _, err := s.Store.Retry(t.Context(), failed...); err != nil { // which waits for no clock
		t.Error(err)
	}
	s.audit(t)
	storetest.WantConflict(t, s.Store.Complete(t.Context(), silent), silent.ID)
	if n := storetest.One[int](t, s.Admin, `
		SELECT count(*) FROM (SELECT FROM claims GROUP BY task_id, version HAVING count(*) > 1) AS twice`); n != 0 {
		t.Errorf("%d leases were given twice", n)
	}
}

// clock is what a server's processes take for the time, by libfaketime.
type clock struct{ library, file string }

func newClock(t *testing.T) *clock {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	if err != nil || len(found) == 0 {
		t.Skip("NOT TESTED: the server's clock jumps here, by libfaketime: install the package faketime")
	}
	dir, err := os.MkdirTemp("", "clock") // t.TempDir would be closed to the server's user
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	c := &clock{library: found[0], file: filepath.Join(dir, "clock")}
	c.set(t, 0)
	return c
}

func (c *clock) options() []pgserver.Option {
	return []pgserver.Option{
		pgserver.Variable("LD_PRELOAD", c.library),
		pgserver.Variable("FAKETIME_TIMESTAMP_FILE", c.file),
		pgserver.Variable("FAKETIME_NO_CACHE", "1"),
		pgserver.Variable("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
	}
}

// set sets the clock that many seconds ahead.
func (c *clock) set(t *testing.T, ahead int) {
	t.Helper()
	next := c.file + ".next"
	err := os.WriteFile(next, fmt.Appendf(nil, "%+d\n", ahead), 0o644)
	if err == nil {
		err = os.Rename(next, c.file) // nobody reads half of it
	}
	if err != nil {
		t.Fatal(err)
	}
}
