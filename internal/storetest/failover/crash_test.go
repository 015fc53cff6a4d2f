//go:build unix

package failover

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A backend is killed, which makes the server start over, and then the whole server, under load.
func TestKilledServer(t *testing.T) {
	t.Parallel()
	server := startPrimary(t)
	l := startLoad(t, server)
	l.goOn()
	for began, rounds := time.Now(), 0; again(t, began, rounds); rounds++ {
		started := ask[time.Time](server, `SELECT pg_postmaster_start_time()`)
		eventually(t, "a backend that lives until it is killed", func() bool {
			backend := ask[int](server, `
				SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1`)
			return syscall.Kill(backend, syscall.SIGKILL) == nil
		})
		l.goOn()
		if at := ask[time.Time](server, `SELECT pg_postmaster_start_time()`); !at.Equal(started) {
			t.Errorf("the postmaster started again at %v", at)
		}

		server.kill()
		server.start()
		l.goOn()
	}
	l.mustHold(server)
}

// With synchronous_commit off a commit is acknowledged before it is on the disk. A crash takes it back, and a lease
// with it: that lease is not accepted when the task is claimed again, also where the version lies ahead of the clock.
func TestKilledServerWithoutSynchronousCommit(t *testing.T) {
	t.Parallel()
	server := startPrimary(t, pgserver.Setting("autovacuum", "off"), pgserver.Setting("bgwriter_lru_maxpages", "0"))
	durable := taskstore.New(connect(t, asIs, server))
	const normal, ahead = 1_000_001, 1_000_002 // integrations
	for _, integration := range []int64{normal, ahead} {
		_, err := durable.CreateMany(t.Context(), slices.Repeat([]taskstore.NewTask{{IntegrationID: integration}}, 5))
		server.must(err)
	}
	server.exec(`UPDATE tasks SET updated_at = updated_at + 3600000 WHERE integration_id = $1`, ahead)

	hasty := taskstore.New(connect(t, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	}, server))
	// The WAL writer is stopped, so that the crash comes before it writes the log to the disk.
	writer := ask[int](server, `SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'`)
	server.must(syscall.Kill(writer, syscall.SIGSTOP))
	created, err := hasty.Create(t.Context(), storetest.NewTask(1))
	server.must(err)
	claim := func(s *taskstore.Store, integration int64) []taskstore.Task {
		tasks, err := s.ClaimBy(t.Context(), taskstore.ByIntegration(integration), 5)
		if err != nil || len(tasks) != 5 {
			t.Fatalf("claimed %d tasks, %v; want 5", len(tasks), err)
		}
		return tasks
	}
	dead := slices.Concat(claim(hasty, normal), claim(hasty, ahead))
	server.must(hasty.Complete(t.Context(), dead[0]))

	server.kill()
	server.start()
	eventually(t, "a pool that has seen the crash", func() bool {
		_, err := durable.Backlog(t.Context())
		return err == nil
	})
	if _, err := durable.Get(t.Context(), created.ID); err == nil {
		t.Errorf("task %d is there, so that nothing was lost", created.ID)
	}
	durable = taskstore.New(connect(t, asIs, server))
	live := slices.Concat(claim(durable, normal), claim(durable, ahead))
	refused(t, durable, dead)
	server.must(durable.Complete(t.Context(), live...))
}
