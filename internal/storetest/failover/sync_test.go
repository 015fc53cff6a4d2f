//go:build unix

package failover

import (
	"os"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// faultsTime is how long the tests under load go on, as a duration such as 10m; once through if unset.
const faultsTime = "TASKSTORE_FAULTS_TIME"

// again reports whether a test that has gone through its faults so many times is to do so once more.
func again(t *testing.T, began time.Time, rounds int) bool {
	t.Helper()
	text := os.Getenv(faultsTime)
	if text == "" {
		return rounds < 1
	}
	length, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", faultsTime, err)
	}
	return rounds < 1 || time.Since(began) < length
}

// A primary with a synchronous standby is lost under load, the standby takes over, and the lost one comes back as
// a standby; then the other way round. Nothing that was acknowledged is lost, and no task is held twice.
func TestSynchronousFailover(t *testing.T) {
	t.Parallel()
	primary := startPrimary(t)
	primary.needs("pg_basebackup", "pg_rewind")
	primary.exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`) // on both: the copy has it, too
	primary.exec(`SELECT pg_reload_conf()`)
	standby := primary.newStandby()
	standby.start()
	inSync := `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming')`
	primary.waitFor(inSync)

	l := startLoad(t, primary, standby)
	l.goOn()
	for began, rounds := time.Now(), 0; again(t, began, rounds); rounds++ {
		primary.stop()
		standby.promote()
		primary.rejoin(standby)
		l.goOn()
		primary, standby = standby, primary

		// This time the old primary is still there when the new one begins. It waits for a standby that follows no more,
		// and so it acknowledges nothing.
		primary.waitFor(inSync)
		standby.promote()
		primary.stop()
		primary.rejoin(standby)
		l.goOn()
		primary, standby = standby, primary
		primary.waitFor(inSync)
	}
	l.mustHold(primary)
}

// A session that waits for a standby tells its caller the truth when it is terminated. Cancelled, it says done, and
// docs/failover.md warns of that.
func TestWaitForStandbyCutShort(t *testing.T) {
	t.Parallel()
	primary := startPrimary(t)
	primary.exec(`ALTER SYSTEM SET synchronous_standby_names = '*'`)
	primary.stop() // a reload takes effect some time later
	primary.start()
	store := taskstore.New(connect(t, asIs, primary))
	cut := func(how string) error {
		done := storetest.Start(func() error {
			_, err := store.Create(t.Context(), storetest.NewTask(1))
			return err
		})
		primary.waitFor(`
			SELECT coalesce(bool_or(` + how + `(pid)), false) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)
		return <-done
	}
	storetest.WantError(t, cut("pg_terminate_backend"), taskstore.ErrUncertain)
	if err := cut("pg_cancel_backend"); err != nil {
		t.Errorf("it is %v: docs/failover.md warns of a server that says done", err)
	}
}
