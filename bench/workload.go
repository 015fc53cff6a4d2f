package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tasklane/tasks/bench/peer"
	"github.com/tasklane/tasks/taskstore"
)

type task = taskstore.Task

// workload is one row of the table of results: what is done, by which peers, and in which databases.
type workload struct {
	name    string
	what    string
	workers int
	entries []entry
	limit   int  // operations of a worker; 0: as many as the time allows
	rounds  int  // at most that many; 0: as many as the flag says
	cold    bool // without warming up
	scale   bool // only with -scale

	prepare func(context.Context, *database) error // before each measurement
	op      func(context.Context, *database, peer.Peer) (operation, error)
	added   []int  // each row that was handled adds one task with one of these statuses; nil: not checked
	script  string // for pgbench
	rows    int    // of one run of the script
}

// entry is a peer at work in a database.
type entry struct {
	Label, Peer, Home string
}

// The databases. The first is emptied before each measurement, the others have a past.
const (
	homeMain     = "main"
	homeFinished = "finished" // a million finished tasks
	homeSnapshot = "snapshot" // an old snapshot and 100,000 dead entries
	homeBare     = "bare"     // lacks the indexes that serve claims by kind
)

// distances are databases that lie so far from the peers, each way.
var distances = map[string]time.Duration{
	"0.5ms": 500 * time.Microsecond, "2ms": 2 * time.Millisecond, "10ms": 10 * time.Millisecond,
}

const (
	tableRows    = 100_000   // for reads and updates
	finishedRows = 1_000_000 // of homeFinished
	deadEntries  = 100_000   // of homeSnapshot
)

// by makes entries of peers in the main database.
func by(peers ...string) []entry {
	var es []entry
	for _, p := range peers {
		es = append(es, entry{p, p, homeMain})
	}
	return es
}

// workloads returns all workloads; with quick they have fewer rows.
func workloads(quick bool) []workload {
	shrink := 1
	if quick {
		shrink = 4
	}
	ws := []workload{
		create(1), create(8), create(64),
	}
	for _, home := range createHomes {
		for _, workers := range createWorkers {
			ws = append(ws, createAway(home, workers))
		}
	}
	ws = append(ws,
		createMany(1_000), createMany(100_000/shrink), createManyBare(),
		get(), list("list-100", 0), list("list-100-integration", 200), update(),
	)
	for _, batch := range []int{1, 10, 100, 500} {
		ws = append(ws, life(batch))
	}
	ws = append(ws, complete(8), complete(64))
	for _, w := range []struct{ batch, tasks int }{{1, 3_000}, {10, 12_000}, {100, 30_000}, {500, 40_000}} {
		ws = append(ws, work(w.batch, w.tasks/shrink))
	}
	ws = append(ws, workAfter("work-100-finished", homeFinished, 30_000/shrink),
		workAfter("work-100-snapshot", homeSnapshot, 20_000/shrink), claimBeside(), claimIdle())
	for _, n := range []int{10_000, 100_000, 1_000_000, 10_000_000} {
		ws = append(ws, claimAt(n))
	}
	return ws
}

func create(workers int) workload {
	return workload{
		name:    fmt.Sprintf("create-%d", workers),
		what:    fmt.Sprintf("create one task, %d goroutines", workers),
		workers: workers,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm", "pgbench"),
		prepare: func(ctx context.Context, d *database) error { return d.empty(ctx) },
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			return func(ctx context.Context, w, i int) (int, error) {
				return 1, p.Create(ctx, peer.NewTask(int64(w*1_000_000+i)))
			}, nil
		},
		added: []int{0, 1, 2, 3},
		rows:  1,
		script: `\set i random(1, 1000000)
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
VALUES (:i % 200 + 1, :i % 50000 + 1, :i % 1000 + 1, :i % 5000 + 1, :i % 20 + 1,
  '{"to":"user123456@example.com","subject":"Your invoice is ready",'
    || '"locale":"en","attempt":1,"tags":["billing","monthly"]}')
RETURNING id, created_at, updated_at;
`,
	}
}

// alone is ours where no Create shares a statement.
const alone = "taskstore, alone"

// createHomes and createWorkers are where, and by how many goroutines, ours is measured beside alone.
var (
	createHomes   = []string{homeMain, "0.5ms", "2ms", "10ms"}
	createWorkers = []int{1, 2, 8, 64}
)

func createAwayName(home string, workers int) string {
	return fmt.Sprintf("create-%d-%s", workers, home)
}

// createAway is create beside alone, in the main database or in one at a distance.
func createAway(home string, workers int) workload {
	w := create(workers)
	w.name, w.rounds = createAwayName(home, workers), 3
	if away := distances[home]; away > 0 {
		w.what += fmt.Sprintf(", %v to the server each way", away)
	}
	w.entries = nil
	for _, p := range []string{ours, alone, "pgx"} {
		w.entries = append(w.entries, entry{p, p, home})
	}
	return w
}

func createMany(n int) workload {
	ts := peer.NewTasks(n)
	w := workload{
		name:    fmt.Sprintf("create-many-%d", n),
		what:    fmt.Sprintf("create %d tasks in one call (pgx: bare COPY, no ids)", n),
		workers: 1,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm", "pgbench"),
		prepare: func(ctx context.Context, d *database) error { return d.empty(ctx) },
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			return func(ctx context.Context, _, _ int) (int, error) { return n, p.CreateMany(ctx, ts) }, nil
		},
		added: []int{0, 1, 2, 3},
		rows:  n,
		script: fmt.Sprintf(`INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
SELECT i %% 200 + 1, i * 7919 %% 50000 + 1, i * 31 %% 1000 + 1, i * 17 %% 5000 + 1, i %% 20 + 1,
  '{"to":"user' || i || '@example.com","subject":"Your invoice is ready",'
    || '"locale":"en","attempt":1,"tags":["billing","monthly"]}'
FROM generate_series(1::bigint, %d) AS i RETURNING id;
`, n),
	}
	if n > 10_000 {
		w.limit, w.cold = 1, true
	}
	return w
}

// createManyBare measures what the indexes cost that serve claims by kind.
func createManyBare() workload {
	w := createMany(1_000)
	w.name = "create-many-1000-bare"
	w.what = "create 1000 tasks in one call, with and without the indexes of claims by kind"
	w.entries = []entry{{ours, ours, homeMain}, {"taskstore, without", ours, homeBare}}
	w.prepare = func(ctx context.Context, d *database) error {
		if d.name == homeBare {
			err := d.exec(ctx, `DROP INDEX IF EXISTS
				idx_tasks_pending_batch, idx_tasks_pending_integration, idx_tasks_pending_template`)
			if err != nil {
				return err
			}
		}
		return d.empty(ctx)
	}
	return w
}

// full fills the main database with tableRows tasks, a quarter of them in each status.
func full(ctx context.Context, d *database) error {
	if n, err := d.count(ctx); err != nil || n == tableRows {
		return err
	}
	if err := d.empty(ctx); err != nil {
		return err
	}
	for st := range 4 {
		if err := d.fill(ctx, st*tableRows/4, tableRows/4, st); err != nil {
			return err
		}
	}
	return nil
}

func get() workload {
	return workload{
		name:    "get-8",
		what:    "get by id, 8 goroutines",
		workers: 8,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm", "pgbench"),
		prepare: full,
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			return func(ctx context.Context, _, _ int) (int, error) {
				want := rand.Int64N(tableRows) + 1
				id, err := p.Get(ctx, want)
				if err == nil && id != want {
					err = fmt.Errorf("%s got task %d for %d", p.Name, id, want)
				}
				return 1, err
			}, nil
		},
		rows: 1,
		script: fmt.Sprintf(`\set id random(1, %d)
SELECT id, integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at
FROM tasks WHERE id = :id;
`, tableRows),
	}
}

// list reads pages of 100 tasks: of one of that many integrations, or of all tasks if integrations is 0.
func list(name string, integrations int64) workload {
	w := workload{
		name:    name,
		what:    "list the newest 100 of all",
		workers: 1,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm", "pgbench"),
		prepare: full,
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			return func(ctx context.Context, _, _ int) (int, error) {
				var integration int64
				if integrations > 0 {
					integration = rand.Int64N(integrations) + 1
				}
				n, err := p.List(ctx, integration, 100)
				if err == nil && n != 100 {
					err = fmt.Errorf("%s listed %d tasks", p.Name, n)
				}
				return n, err
			}, nil
		},
		rows: 100,
		script: `
SELECT id, integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at
FROM tasks ORDER BY id DESC LIMIT 100;
`,
	}
	if integrations > 0 {
		w.what = "list the newest 100 of an integration that has 500"
		w.script = fmt.Sprintf(`\set i random(1, %d)
SELECT id, integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at
FROM tasks WHERE integration_id = :i ORDER BY id DESC LIMIT 100;
`, integrations)
	}
	return w
}

func update() workload {
	const workers, own = 8, 1000
	return workload{
		name:    "update-8",
		what:    "update a task that was read, 8 goroutines (bun and gorm: without looking at its version)",
		workers: workers,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm", "pgbench"),
		prepare: full,
		op: func(ctx context.Context, d *database, p peer.Peer) (operation, error) {
			ts, err := d.tasks(ctx, 1, workers*own)
			if err == nil && len(ts) != workers*own {
				err = fmt.Errorf("%d tasks to update", len(ts))
			}
			arguments := [2]string{peer.NewTask(1).Argument, peer.NewTask(2).Argument}
			return func(ctx context.Context, w, i int) (int, error) {
				t := &ts[w*own+i%own]
				t.Argument = arguments[i/own%2]
				return 1, p.Update(ctx, t)
			}, err
		},
		rows: 1,
		script: fmt.Sprintf(`\set id random(1, %d)
UPDATE tasks SET integration_id = :id %% 200 + 1, user_id = :id, client_id = :id %% 100, account_id = :id,
  template_id = 7, argument = '{"n": 1}',
  updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = :id RETURNING updated_at;
`, workers*own),
	}
}

// seconds returns s as a Duration: flags and results are in seconds.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
