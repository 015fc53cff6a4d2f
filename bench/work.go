package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tasklane/tasks/bench/peer"
)

// workers is the number of goroutines that claim and complete.
const workers = 4

const claimScript = `UPDATE tasks SET status = 1,
  updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
  WHERE id = ANY (ARRAY(SELECT id FROM tasks WHERE status = 0 ORDER BY id LIMIT %d FOR NO KEY UPDATE SKIP LOCKED))
  RETURNING *`

// workScript claims a batch and completes it.
const workScript = `WITH claimed AS (` + claimScript + `)
SELECT coalesce(array_agg(id ORDER BY id), '{}') AS ids,
  coalesce(array_agg(updated_at ORDER BY id), '{}') AS versions FROM claimed \gset
UPDATE tasks SET status = 2,
  updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, tasks.updated_at + 1)
FROM (SELECT unnest((:ids)::bigint[]) AS id, unnest((:versions)::bigint[]) AS version) AS held
WHERE tasks.id = held.id AND tasks.updated_at = held.version AND tasks.status = 1
RETURNING tasks.id;
`

// life is the whole life of tasks: create, claim, heartbeat, complete.
func life(batch int) workload {
	return workload{
		name:    fmt.Sprintf("life-%d", batch),
		what:    fmt.Sprintf("create, claim, heartbeat, complete; 4 workers, batches of %d", batch),
		workers: workers,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm"),
		prepare: func(ctx context.Context, d *database) error { return d.empty(ctx) },
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			ts := peer.NewTasks(batch)
			return func(ctx context.Context, _, _ int) (int, error) {
				var err error
				if batch == 1 {
					err = p.Create(ctx, ts[0])
				} else {
					err = p.CreateMany(ctx, ts)
				}
				done, n := 0, 1
				for err == nil && n > 0 && done < batch { // some peers take fewer than asked for
					n, err = p.Work(ctx, batch-done, true)
					done += n
				}
				return done, err
			}, nil
		},
		added: []int{2},
	}
}

// workOp claims and completes batches until nothing is left.
func workOp(batch int) func(context.Context, *database, peer.Peer) (operation, error) {
	return func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
		return func(ctx context.Context, _, _ int) (int, error) { return p.Work(ctx, batch, false) }, nil
	}
}

// work claims and completes tasks that exist already, as a task runner does.
func work(batch, tasks int) workload {
	return workload{
		name: fmt.Sprintf("work-%d", batch),
		what: fmt.Sprintf("claim and complete; 4 workers, batches of %d "+
			"(gorm: one at a time; river: 4 clients of %[1]d workers)", batch),
		workers: workers,
		entries: by("taskstore", "pgx", "sqlc", "bun", "gorm", "river", "pgbench"),
		limit:   tasks, // it ends when nothing is left
		prepare: refill(tasks),
		op:      workOp(batch),
		added:   []int{2},
		script:  fmt.Sprintf(workScript, batch),
		rows:    batch,
	}
}

// complete ends tasks one by one, as a program does that has many workers with one task each.
func complete(goroutines int) workload {
	const own = 1_000
	return workload{
		name:    fmt.Sprintf("complete-%d", goroutines),
		what:    fmt.Sprintf("complete one claimed task, %d goroutines", goroutines),
		workers: goroutines,
		entries: by("taskstore", "pgx"),
		limit:   own - 20,
		prepare: func(ctx context.Context, d *database) error {
			if err := d.empty(ctx); err != nil {
				return err
			}
			return d.fill(ctx, 0, goroutines*own, 1)
		},
		op: func(ctx context.Context, d *database, p peer.Peer) (operation, error) {
			ts, err := d.tasks(ctx, 1, goroutines*own)
			if err == nil && len(ts) != goroutines*own {
				err = fmt.Errorf("%d tasks to complete", len(ts))
			}
			return func(ctx context.Context, w, i int) (int, error) { return 1, p.Complete(ctx, ts[w*own+i]) }, err
		},
		added: []int{2},
	}
}

// refill empties the table and fills it with that many pending tasks.
func refill(tasks int) func(context.Context, *database) error {
	return func(ctx context.Context, d *database) error {
		if err := d.empty(ctx); err != nil {
			return err
		}
		return d.fill(ctx, 0, tasks, 0)
	}
}

// workAfter is work in batches of 100 in a database with a past, compared with our own figure without one.
func workAfter(name, home string, tasks int) workload {
	w := work(100, tasks)
	w.name = name
	w.what = "claim and complete, batches of 100, after 1,000,000 finished rows"
	w.entries = []entry{
		{"taskstore", "taskstore", home},
		{"taskstore, empty table", "taskstore", homeMain},
		{"pgx", "pgx", home},
		{"gorm", "gorm", home},
	}
	past := finished
	if home == homeSnapshot {
		w.what = "claim and complete, batches of 100, beside an old snapshot and 100,000 dead entries"
		w.rounds, past = 3, dead
	}
	w.prepare = func(ctx context.Context, d *database) error {
		if d.name == homeMain {
			return refill(tasks)(ctx, d)
		}
		return past(ctx, d, tasks)
	}
	return w
}

// claimBeside measures the time of a claim while somebody holds an old snapshot, and while nobody does.
func claimBeside() workload {
	const pending = 4_000
	return workload{
		name:    "claim-1-snapshot",
		what:    "claim one, beside an old snapshot and 100,000 dead entries",
		workers: 1,
		entries: []entry{
			{"taskstore", "taskstore", homeSnapshot},
			{"taskstore, no snapshot", "taskstore", homeMain},
			{"pgx", "pgx", homeSnapshot},
			{"pgx, no snapshot", "pgx", homeMain},
			{"gorm", "gorm", homeSnapshot},
		},
		prepare: func(ctx context.Context, d *database) error {
			if d.name == homeMain {
				return refill(pending)(ctx, d)
			}
			if d.snapshot != nil { // earlier measurements added only a few dead entries
				return d.topUp(ctx, pending)
			}
			return dead(ctx, d, pending)
		},
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			return func(ctx context.Context, _, _ int) (int, error) { return p.Claim(ctx, 1) }, nil
		},
		added: []int{1},
	}
}

// claimIdle measures a claim that finds nothing, of a worker that has waited for a while.
func claimIdle() workload {
	const waited = 3 * time.Second
	w := claimBeside()
	w.name = "claim-idle-snapshot"
	w.what = "claim from an empty queue, beside an old snapshot and 100,000 dead entries"
	w.added = nil
	w.prepare = func(ctx context.Context, d *database) error {
		if d.name == homeMain {
			return d.empty(ctx)
		}
		if d.snapshot != nil {
			return nil
		}
		return dead(ctx, d, 0)
	}
	w.op = func(ctx context.Context, _ *database, p peer.Peer) (operation, error) {
		claim := func(ctx context.Context, _, _ int) (int, error) {
			n, err := p.Claim(ctx, 1)
			if err == nil && n > 0 {
				err = fmt.Errorf("%s claimed %d tasks of an empty queue", p.Name, n)
			}
			return 1, err
		}
		_, err := loop(ctx, claim, 1, waited, 0, 0)
		return claim, err
	}
	return w
}

// claimAt measures the time of a claim in a table of that many rows, nearly all of them finished.
func claimAt(rows int) workload {
	const pending = 4_000
	return workload{
		name:    fmt.Sprintf("scale-%d", rows),
		what:    fmt.Sprintf("claim one, in a table of %d rows", rows),
		workers: 1,
		scale:   true,
		entries: by("taskstore", "pgx", "gorm"),
		prepare: func(ctx context.Context, d *database) error {
			if err := d.growTo(ctx, rows); err != nil {
				return err
			}
			return d.topUp(ctx, pending)
		},
		op: func(_ context.Context, _ *database, p peer.Peer) (operation, error) {
			return func(ctx context.Context, _, _ int) (int, error) { return p.Claim(ctx, 1) }, nil
		},
		added: []int{1},
	}
}

// finished is a past of a million finished tasks.
func finished(ctx context.Context, d *database, pending int) error {
	if err := d.growTo(ctx, finishedRows); err != nil {
		return err
	}
	return d.topUp(ctx, pending)
}

// dead is a past that leaves dead index entries, which cannot be removed while the snapshot is held.
func dead(ctx context.Context, d *database, pending int) error {
	d.release()
	if err := d.empty(ctx); err != nil {
		return err
	}
	if err := d.fill(ctx, 0, deadEntries, 0); err != nil {
		return err
	}
	if err := d.settle(ctx); err != nil {
		return err
	}
	if err := d.hold(ctx); err != nil {
		return err
	}
	if err := d.exec(ctx, "UPDATE tasks SET status = 2"); err != nil {
		return err
	}
	return d.topUp(ctx, pending)
}

// growTo adds finished tasks until the table has that many rows.
func (d *database) growTo(ctx context.Context, rows int) error {
	n, err := d.count(ctx)
	if err != nil || n >= rows {
		return err
	}
	return d.fill(ctx, n, rows-n, 2)
}

// topUp adds pending tasks until there are that many.
func (d *database) topUp(ctx context.Context, pending int) error {
	n, err := d.count(ctx, 0)
	if err != nil || n >= pending {
		return err
	}
	return d.fill(ctx, n, pending-n, 0)
}
