package taskwork

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// childDatabase, if set, makes TestWorkerProcess a worker process.
const childDatabase = "TASKSTORE_TEST_CHILD_DATABASE"

func TestWorkerProcess(t *testing.T) {
	t.Parallel()
	url := os.Getenv(childDatabase)
	if url == "" {
		t.Skip("the process that TestKilledProcesses kills")
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Fatal(taskwork.Run(context.Background(), storetest.NewStore(pool), config(), handler(pool)))
}

func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 600)
	for done := 0; done < s.tasks; done += 150 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestWorkerProcess$", "-test.count=1")
		cmd.Env = append(os.Environ(), childDatabase+"="+s.URL)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		s.completed(t, strconv.Itoa(done+50))
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // says that it was killed
	}
	s.worker(t, s.Pool, config())
	s.audit(t)
}

func TestDeploys(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 1000)
	stop := s.worker(t, s.Pool, config())
	for done := 100; done < s.tasks; done += 200 {
		s.completed(t, strconv.Itoa(done))
		next := s.worker(t, s.Pool, config())
		stop() // while the next one works
		stop = next
	}
	s.audit(t)
}

func TestBackendsTerminated(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 400)
	pool := s.Connect(t, func(c *pgxpool.Config) { c.ConnConfig.RuntimeParams["application_name"] = "victim" })
	s.worker(t, pool, config())
	for done := 20; done < s.tasks; done += 20 {
		s.completed(t, strconv.Itoa(done))
		s.Exec(t, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'victim' AND random() < 0.5`)
	}
	s.audit(t)
}

// The server loses a process and restarts itself: for a moment nobody can connect, and open transactions are gone.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	s := newScene(t, ownServer(t), 400)
	s.worker(t, s.Pool, config())
	for done := 100; done < s.tasks; done += 150 {
		s.completed(t, strconv.Itoa(done))
		crash(t, s.Bundle)
	}
	s.audit(t)
}

// ownServer is a server that only this test uses, so that it may crash.
func ownServer(t *testing.T, opts ...pgserver.Option) *storetest.Bundle {
	t.Helper()
	storetest.NotOnCitus(t, "it needs a server of its own, which would have no Citus")
	server, err := pgserver.StartLocal(t.Context(), opts...)
	if errors.Is(err, pgserver.ErrNone) {
		t.Skipf("NOT TESTED: this needs a server of its own on this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := migrate.Up(t.Context(), server.URL, migrate.Defaults()); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return &storetest.Bundle{URL: server.URL, Admin: pool, Pool: pool, Store: storetest.NewStore(pool)}
}

// crash kills a process of the server.
func crash(t *testing.T, b *storetest.Bundle) {
	t.Helper()
	pid := storetest.One[int](t, b.Admin, `SELECT pg_backend_pid()`)
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestNetworkCuts(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 400)
	n, pool := newNetwork(t, s.Bundle)
	s.worker(t, pool, config())
	s.worker(t, pool, config())
	for done := 20; done < s.tasks; done += 20 {
		s.completed(t, strconv.Itoa(done))
		n.set(true, false)
		n.set(false, false)
	}
	s.audit(t)
}

// Two workers have no database for three times the lease. Nobody takes anything from the other, and what handlers
// finish meanwhile is recorded.
func TestOutageLongerThanTheLease(t *testing.T) {
	t.Parallel()
	for name, mute := range map[string]bool{"down": false, "mute": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			n, pool := newNetwork(t, b)
			s := newScene(t, b, 10)
			cfg := config()
			seen := newWatch(&cfg)
			began, ended := make(chan struct{}, s.tasks), make(chan struct{})
			h := func(_ context.Context, task taskstore.Task) error {
				began <- struct{}{}
				if task.ID%2 == 0 {
					<-ended // while there is no database
				}
				return nil
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			store := storetest.NewStore(pool)
			cfg.Workers = 5
			one := storetest.Start(func() error { return taskwork.Run(ctx, store, cfg, h) })
			two := storetest.Start(func() error { return taskwork.Run(ctx, store, cfg, h) })
			for range s.tasks { // a claim whose answer is lost would be requeued
				<-began
			}
			s.completed(t, "5")
			taken := func() int {
				return seen.count(taskwork.Lost) + seen.count(taskwork.Requeued) + seen.count(taskwork.Started)
			}
			before := taken()
			n.set(!mute, mute)
			time.AfterFunc(3*cfg.SilentFor, func() { n.set(false, false); close(ended) })
			s.completed(t, "10")
			stop()
			for _, done := range []<-chan error{one, two} {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if seen.count(taskwork.Away) == 0 {
				t.Error("nobody noticed the outage")
			}
			if taken() != before {
				t.Errorf("%d leases lost, %d requeues, %d starts of 10 tasks",
					seen.count(taskwork.Lost), seen.count(taskwork.Requeued), seen.count(taskwork.Started))
			}
		})
	}
}

// Programs that we do not control save stale rows in seconds, and an operator resets tasks by hand.
func TestForeignWriters(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "its foreign writer calls random() in an UPDATE, which Citus refuses")
	s := newScene(t, storetest.Setup(t), 1000)
	s.worker(t, s.Pool, config())
	s.worker(t, s.Pool, config())
	for done := 10; done < s.tasks; done += 10 {
		s.completed(t, strconv.Itoa(done))
		s.Exec(t, `
			UPDATE tasks SET argument = 'touched', updated_at = extract(epoch FROM now())::bigint
			WHERE status = 1 AND id % 3 = 0`)
		s.Exec(t, `UPDATE tasks SET status = 0, updated_at = NULL WHERE status = 1 AND id % 7 = 0 AND random() < 0.3`)
	}
	s.audit(t)
}

// Somebody keeps a transaction open that has touched a task which a handler has just done. The others go on, and the
// task is completed soon after that transaction.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 200)
	locked := make(chan struct{})
	cfg := config()
	cfg.SilentFor = time.Hour // nobody comes to the help of those who wait
	first := storetest.One[int64](t, s.Admin, `SELECT min(id) FROM tasks`)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := storetest.Start(func() error {
		return taskwork.Run(ctx, s.Store, cfg, func(_ context.Context, task taskstore.Task) error {
			if task.ID == first {
				<-locked
			}
			return nil
		})
	})
	s.until(t, "it is claimed", `SELECT status = 1 FROM tasks ORDER BY id LIMIT 1`)
	tx, err := s.Admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM tasks WHERE id = $1 FOR UPDATE`, first); err != nil {
		t.Fatal(err)
	}
	close(locked)
	s.completed(t, "199")
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.completed(t, "200")
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A handler longer than the lease keeps its task by heartbeats, in the view of others that requeue.
func TestLongHandler(t *testing.T) {
	t.Parallel()
	s := newScene(t, storetest.Setup(t), 1)
	cfg := config()
	seen := newWatch(&cfg)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	work := func(context.Context, taskstore.Task) error {
		<-time.After(4 * cfg.SilentFor)
		return nil
	}
	runs := []<-chan error{
		storetest.Start(func() error { return taskwork.Run(ctx, s.Store, cfg, work) }),
		storetest.Start(func() error { return taskwork.Run(ctx, storetest.NewStore(s.Pool), cfg, work) }),
	}
	s.completed(t, "1")
	stop()
	for _, done := range runs {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if seen.count(taskwork.Started) != 1 {
		t.Errorf("it was started %d times", seen.count(taskwork.Started))
	}
}

// A heartbeat is done, and its answer is lost: the lease is at a version that nobody was told.
func TestLostHeartbeat(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	n, pool := newNetwork(t, b)
	s := newScene(t, b, 1)
	cfg := config()
	// On the busiest machine the lease lives, and there is time to record its end.
	cfg.SilentFor, cfg.Grace = 10*time.Second, time.Minute
	seen := newWatch(&cfg)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	err := taskwork.Run(ctx, storetest.NewStore(pool), cfg, func(ctx context.Context, task taskstore.Task) error {
		defer stop()
		version := task.UpdatedAt
		moved := func() {
			last := version
			dbtest.Eventually(t, func() string {
				version = storetest.StoredTask(t, b.Admin, task.ID).UpdatedAt
				if version == last && ctx.Err() == nil {
					return "a heartbeat"
				}
				return ""
			})
		}
		moved()
		n.loseAnswerTo("commit")
		moved() // by the heartbeat without answer
		moved() // by one that knows of it
		return ctx.Err()
	})
	if err != nil {
		t.Error(err)
	}
	s.completed(t, "1")
	// On a busy machine other calls may run into their deadlines too.
	if seen.count(taskwork.Away) == 0 || seen.count(taskwork.Lost) != 0 || seen.count(taskwork.Completed) != 1 {
		t.Errorf("told %+v", seen.events)
	}
}

// The server refuses a heartbeat, and the network goes mute before it hears that this is rolled back. No call has a
// connection for ever: the worker stops as always.
func TestMuteAtARollback(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	n, pool := newNetwork(t, b)
	s := newScene(t, b, 1)
	s.Exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no heartbeats'; END $$`)
	s.Exec(t, `
		CREATE TRIGGER refuse BEFORE UPDATE ON tasks FOR EACH ROW
			WHEN (OLD.status = 1 AND NEW.status = 1) EXECUTE FUNCTION refuse()`)
	muted := n.muteAt("rollback")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := storetest.Start(func() error {
		return taskwork.Run(ctx, storetest.NewStore(pool), config(), func(ctx context.Context, _ taskstore.Task) error {
			<-ctx.Done()
			return ctx.Err()
		})
	})
	select {
	case <-muted:
	case <-time.After(time.Minute):
		t.Fatal("no heartbeat was rolled back")
	}
	stop()
	select {
	case err := <-done:
		if err == nil {
			t.Error("the task's release is said to be recorded")
		}
	case <-time.After(time.Minute):
		t.Fatal("the worker does not stop")
	}
}
