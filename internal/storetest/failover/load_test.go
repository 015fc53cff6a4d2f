//go:build unix

package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// patience is the deadline of each call of the load.
const patience = time.Second

// load is a program's tasks being created and worked on, through whatever happens to its server.
type load struct {
	t       *testing.T
	store   *taskstore.Store
	tasks   taskstore.Filter // its own
	ledger  *ledger
	stop    context.CancelFunc
	running sync.WaitGroup
}

func startLoad(t *testing.T, nodes ...*node) *load {
	t.Helper()
	pool := connect(t, func(c *pgxpool.Config) { c.MaxConns = 12 }, nodes...)
	ctx, stop := context.WithCancel(t.Context())
	tasks := taskstore.ByTemplate(storetest.NewTask(1).TemplateID)
	l := &load{t: t, store: taskstore.New(pool), tasks: tasks, ledger: newLedger(), stop: stop}
	t.Cleanup(l.end)
	for i := range 2 {
		l.loop(ctx, func(n int) { l.create(ctx, fmt.Sprintf("%d-%d", i, n)) })
	}
	for range 5 {
		l.loop(ctx, func(n int) { l.work(n) })
	}
	l.loop(ctx, func(int) {
		_ = l.call(func(ctx context.Context) error {
			_, err := l.store.RequeueStale(ctx, l.tasks, patience, 100)
			return err
		})
	})
	return l
}

// loop runs f again and again until the load ends.
func (l *load) loop(ctx context.Context, f func(n int)) {
	l.running.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			f(n)
		}
	})
}

// end returns when the last call has.
func (l *load) end() {
	l.stop()
	l.running.Wait()
}

// call runs one call of the store under its deadline. Calls are not cut short when the load ends.
func (l *load) call(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.t.Context()), patience)
	defer cancel()
	err := f(ctx)
	if errors.Is(err, taskstore.ErrUncertain) {
		l.ledger.lost()
	}
	return err
}

// create creates tasks without and with keys, the latter until it is told that it has.
func (l *load) create(ctx context.Context, name string) {
	plain, keyed := storetest.NewTask(1), storetest.NewTask(1)
	plain.Argument, keyed.Argument, keyed.Key = "plain "+name, "keyed "+name, name
	many := []taskstore.NewTask{plain, keyed, plain}
	many[1].Key += " in many"

	err := l.call(func(ctx context.Context) error {
		t, err := l.store.Create(ctx, plain)
		if err == nil {
			l.ledger.create(t.ID, plain)
		}
		return err
	})
	for first := true; first || err != nil && ctx.Err() == nil; first = false {
		err = l.call(func(ctx context.Context) error {
			t, err := l.store.Create(ctx, keyed)
			if err == nil {
				l.ledger.create(t.ID, keyed)
			}
			return err
		})
	}
	_ = l.call(func(ctx context.Context) error {
		ids, err := l.store.CreateMany(ctx, many)
		for i, id := range ids {
			l.ledger.create(id, many[i])
		}
		return err
	})
}

// work claims tasks, renews them and completes most of them. It abandons the others.
func (l *load) work(n int) {
	var tasks []taskstore.Task
	_ = l.call(func(ctx context.Context) (err error) {
		tasks, err = l.store.ClaimBy(ctx, l.tasks, 4)
		for _, t := range tasks {
			l.ledger.advance(t.ID, 0, t.UpdatedAt)
		}
		return err
	})
	for range n % 3 {
		l.heartbeat(tasks)
	}
	if n%5 == 0 && len(tasks) > 0 {
		tasks = tasks[1:]
	}
	if len(tasks) == 0 {
		return
	}
	// Repeated, an ending that was done and not answered is a conflict: then nothing is known of its tasks.
	for err, tries := taskstore.ErrUncertain, 0; errors.Is(err, taskstore.ErrUncertain) && tries < 5; tries++ {
		err = l.call(func(ctx context.Context) error { return l.store.Complete(ctx, tasks...) })
		if err == nil || errors.Is(err, taskstore.ErrConflict) {
			l.ledger.complete(without(tasks, err))
		}
	}
}

func (l *load) heartbeat(tasks []taskstore.Task) {
	before := slices.Clone(tasks)
	_ = l.call(func(ctx context.Context) error { return l.store.Heartbeat(ctx, tasks) })
	for i, t := range tasks {
		if t.UpdatedAt != before[i].UpdatedAt {
			l.ledger.advance(t.ID, before[i].UpdatedAt, t.UpdatedAt)
		}
	}
}

// without returns the tasks that a conflict does not name.
func without(tasks []taskstore.Task, err error) []taskstore.Task {
	var conflict *taskstore.ConflictError
	if !errors.As(err, &conflict) {
		return tasks
	}
	return slices.DeleteFunc(slices.Clone(tasks), func(t taskstore.Task) bool {
		return slices.Contains(conflict.IDs, t.ID)
	})
}

// goOn waits until so many more calls have been acknowledged.
func (l *load) goOn() {
	l.t.Helper()
	calls, completed := l.ledger.count()
	eventually(l.t, "calls that are answered", func() bool {
		c, d := l.ledger.count()
		return c > calls+300 && d > completed+100
	})
}

// audit ends the load and returns what its callers were told and the node's rows contradict.
func (l *load) audit(n *node) []string {
	l.t.Helper()
	l.end()
	conn := n.session()
	defer conn.Close(context.WithoutCancel(l.t.Context()))
	rows := map[int64]taskstore.Task{}
	for _, row := range storetest.Stored(l.t, conn) {
		rows[row.ID] = row
	}
	keys := map[string]int64{}
	var key string
	var id int64
	found, err := conn.Query(l.t.Context(), `SELECT key, task_id FROM task_keys`)
	n.must(err)
	_, err = pgx.ForEachRow(found, []any{&key, &id}, func() error { keys[key] = id; return nil })
	n.must(err)
	calls, completed := l.ledger.count()
	l.t.Logf("%d tasks stored, %d calls acknowledged, %d tasks completed, %d calls uncertain",
		len(rows), calls, completed, l.ledger.uncertain)
	return l.ledger.check(rows, keys)
}

// mustHold fails the test where the node's rows contradict what callers were told.
func (l *load) mustHold(n *node) {
	l.t.Helper()
	for _, problem := range l.audit(n) {
		l.t.Error(problem)
	}
}
