// Package citus has the tests of what is so on a Citus cluster alone: see `make test-citus`.
package citus

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/storetest"
)

func setup(t *testing.T) *storetest.Bundle {
	t.Helper()
	if !storetest.OnCitus() {
		t.Skip("not run: TASKSTORE_TEST_CITUS_URL names no coordinator of a Citus cluster")
	}
	return storetest.Setup(t)
}

// Workers of several programs take each task once, and none goes home while there is work.
func TestClaimsTakeEachTaskOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n, workers, most = 1000, 8, 20
	b.CreateMany(t, n)
	var mu sync.Mutex
	taken := map[int64]int{}
	var running sync.WaitGroup
	for range workers {
		s := storetest.NewStore(b.Pool)
		running.Go(func() {
			for {
				ts, err := s.Claim(t.Context(), most)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, task := range ts {
					taken[task.ID]++
				}
				left := n - len(taken)
				mu.Unlock()
				if len(ts) < most && left > workers*most {
					t.Errorf("a claim of %d returned %d, with %d left", most, len(ts), left)
				}
				if len(ts) == 0 {
					return
				}
			}
		})
	}
	running.Wait()
	if len(taken) != n {
		t.Errorf("%d of %d tasks were claimed", len(taken), n)
	}
	for id, times := range taken {
		if times != 1 {
			t.Errorf("task %d was claimed %d times", id, times)
		}
	}
}

// Tasks that flow while each shard is moved to another node are all done, and none twice.
func TestShardsMoveWhileTasksFlow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	nodes := storetest.One[int](t, b.Pool, `SELECT count(*) FROM pg_dist_node WHERE shouldhaveshards AND groupid <> 0`)
	if nodes < 2 {
		t.Skip("not run: the cluster has no second worker node")
	}
	f := start(t, b)
	conn := b.Connection(t)
	for _, shard := range storetest.One[[]int64](t, conn,
		`SELECT array_agg(shardid ORDER BY shardid) FROM pg_dist_shard WHERE logicalrelid = 'tasks'::regclass`) {
		const move = `
			SELECT citus_move_shard_placement($1, here.nodename, here.nodeport, there.nodename, there.nodeport, 'block_writes')
			FROM pg_dist_shard_placement AS here,
				(SELECT nodename, nodeport FROM pg_dist_node WHERE shouldhaveshards AND groupid <> 0) AS there
			WHERE here.shardid = $1 AND (here.nodename, here.nodeport) <> (there.nodename, there.nodeport) LIMIT 1`
		if _, err := conn.Exec(t.Context(), move, shard); err != nil {
			t.Error(err)
		}
	}
	f.end()
}

// Connections are killed for TASKSTORE_RACE_TIME, or whole nodes by hand: nothing is lost or done twice.
func TestRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	length := 5 * time.Second
	if set := os.Getenv("TASKSTORE_RACE_TIME"); set != "" {
		var err error
		if length, err = time.ParseDuration(set); err != nil {
			t.Fatal(err)
		}
	}
	f := start(t, b)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		// An error says that the coordinator is away.
		_, _ = b.Admin.Exec(t.Context(), `
			SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'flow' ORDER BY random() LIMIT 1`)
	}
	f.end()
}

// verify sees no drift, however the tables are distributed, and schema/citus.sql can be repeated.
func TestVerifySeesNoDrift(t *testing.T) {
	t.Parallel()
	b := setup(t)
	script, err := os.ReadFile("../../../schema/citus.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{
		string(script),
		`SELECT alter_distributed_table('tasks', shard_count => 4, cascade_to_colocated => true)`,
		`SELECT undistribute_table('tasks'); SELECT undistribute_table('task_keys'); SELECT undistribute_table('task_failures')`,
		string(script),
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
	}
}

// taskmigrate refuses a worker node, by name.
func TestWorkerNodesAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u, err := url.Parse(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	host := storetest.One[string](t, b.Pool, `SELECT nodename FROM pg_dist_node WHERE groupid <> 0 ORDER BY nodeid LIMIT 1`)
	port := storetest.One[int](t, b.Pool, `SELECT nodeport FROM pg_dist_node WHERE groupid <> 0 ORDER BY nodeid LIMIT 1`)
	u.Host = net.JoinHostPort(host, strconv.Itoa(port))
	_, err = migrate.Up(t.Context(), u.String(), migrate.Defaults())
	var refusal *migrate.Error
	if !errors.As(err, &refusal) || !strings.Contains(fmt.Sprint(err), "worker node") {
		t.Errorf("error is %v", err)
	}
}
