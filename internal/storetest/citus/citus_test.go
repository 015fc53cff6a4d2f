// Package citus has the tests of what is so on a Citus cluster alone: see `make test-citus`.
package citus

import (
	"strings"
	"sync"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func setup(t *testing.T) *storetest.Bundle {
	t.Helper()
	onlyOnCitus(t)
	return storetest.Setup(t)
}

func onlyOnCitus(t *testing.T) {
	t.Helper()
	if !storetest.OnCitus() {
		t.Skip("not run: TASKSTORE_TEST_CITUS_URL names no coordinator of a Citus cluster")
	}
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

// A Store that was not told of Citus says what to do.
func TestWithoutTheOption(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Create(t, 1)
	_, err := taskstore.New(b.Pool).ClaimFair(t.Context(), 1)
	if err == nil || !strings.Contains(err.Error(), "WithCitus") {
		t.Errorf("error is %v", err)
	}
}
