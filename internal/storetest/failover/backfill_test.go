//go:build unix

package failover

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// A back-fill waits for a standby that is too far behind, and says so. It goes on once the standby has caught up, or
// gives up in the end, and the next run goes on from there.
func TestBackfillWaitsForAStandby(t *testing.T) {
	t.Parallel()
	primary := startPrimary(t, pgserver.Setting("wal_receiver_status_interval", "1s")) // a standby says what it has
	primary.needs("pg_basebackup")
	standby := primary.newStandby()
	standby.start()
	primary.waitFor(`SELECT EXISTS (SELECT FROM pg_stat_replication WHERE replay_lsn IS NOT NULL)`)

	log := &dbtest.Journal{}
	migrator := func(wait time.Duration) *migrate.Migrator {
		opts := migrate.Defaults()
		opts.BackfillMaxLag, opts.IndexWait = 64<<10, wait
		opts.Log = slog.New(slog.NewTextHandler(log, nil))
		m, err := migrate.New(address(t, primary), opts)
		primary.must(err)
		return m
	}
	patient := migrator(0)
	_, err := patient.Down(t.Context(), migrate.DownOptions{To: 6, Confirm: "postgres", AllowDataLoss: true})
	primary.must(err)
	primary.exec(`ALTER TABLE tasks DISABLE TRIGGER USER`)
	primary.exec(`
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at)
SELECT 1, 2, 3, 4, 5, repeat('x', 200), 1721818960 FROM generate_series(1, 20000)`) // three slices
	primary.exec(`ALTER TABLE tasks ENABLE TRIGGER USER`)
	unsound := func() int { return ask[int](primary, `SELECT count(*) FROM tasks WHERE created_at < 100000000000`) }

	standby.exec(`SELECT pg_wal_replay_pause()`)
	_, err = migrator(time.Second).Up(t.Context(), migrate.Newest)
	failure, ok := errors.AsType[*migrate.Error](err)
	if !ok || failure.Kind != migrate.HalfDone || !failure.Resumable ||
		!strings.Contains(failure.Message, `standby "walreceiver" stays behind`) {
		t.Fatalf("up ended with %v", err)
	}
	left := unsound()
	if left == 0 || left == 20_000 {
		t.Errorf("%d of 20,000 rows are left, want some of the slices done", left)
	}

	said := strings.Count(log.String(), "waiting for a standby")
	ended := make(chan error, 1)
	go func() {
		_, err := patient.Up(t.Context(), migrate.Newest)
		ended <- err
	}()
	eventually(t, "word of the standby", func() bool {
		return strings.Count(log.String(), "waiting for a standby") > said
	})
	if n := unsound(); n == 0 {
		t.Error("the back-fill did not wait")
	}
	standby.exec(`SELECT pg_wal_replay_resume()`)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := unsound(); n > 0 {
		t.Errorf("%d rows are unsound", n)
	}
}
