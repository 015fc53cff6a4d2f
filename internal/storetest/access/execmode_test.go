package access

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// How pgx sends a query decides where the types of its parameters come from: the server, or the Go values.
var execModes = map[string]pgx.QueryExecMode{
	"cache_statement": pgx.QueryExecModeCacheStatement,
	"cache_describe":  pgx.QueryExecModeCacheDescribe,
	"describe_exec":   pgx.QueryExecModeDescribeExec,
	"exec":            pgx.QueryExecModeExec,
	"simple_protocol": pgx.QueryExecModeSimpleProtocol,
}

func TestEveryMethodInEveryExecMode(t *testing.T) {
	t.Parallel()
	for name, mode := range execModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			pool := b.Connect(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			everyMethod(t, b, pool)
		})
	}
}

// everyMethod calls each method of a Store over pool and looks at what is stored by b's own connections.
func everyMethod(t *testing.T, b *storetest.Bundle, pool *pgxpool.Pool) {
	t.Helper()
	s := storetest.NewStore(pool)
	b.Exec(t, `TRUNCATE tasks`)
	creates(t, b, s)
	createsByKey(t, b, s)
	reads(t, b, s)
	edits(t, b, s)
	works(t, b, s)
	queues(t, b, s)
	b.Exec(t, `TRUNCATE tasks`)
	commits(t, b, s, pool)
}

// creates leaves ten tasks by Create, NewTask(0) to NewTask(9), and 2 + 300 by CreateMany.
func creates(t *testing.T, b *storetest.Bundle, s *taskstore.Store) {
	t.Helper()
	for n := range 10 {
		task, err := s.Create(t.Context(), storetest.NewTask(n))
		if err != nil {
			t.Fatal(err)
		}
		if row := storetest.StoredTask(t, b.Pool, task.ID); row != task || storetest.Input(row) != storetest.NewTask(n) {
			t.Errorf("created %+v, stored %+v", task, row)
		}
	}
	hard := storetest.NewTasks(2)
	hard[0].Argument = "{\"a\": \"O'Brien \\\\ $1 -- \u4e2d\u6587 \U0001f600\"}"
	hard[1].IntegrationID, hard[1].UserID = -1<<63, 1<<63-1
	for _, ts := range [][]taskstore.NewTask{hard, storetest.NewTasks(300)} { // INSERT, COPY
		ids, err := s.CreateMany(t.Context(), ts)
		if err != nil {
			t.Fatal(err)
		}
		rows := map[int64]taskstore.Task{}
		for _, row := range storetest.Stored(t, b.Pool) {
			rows[row.ID] = row
		}
		for i, id := range ids {
			if storetest.Input(rows[id]) != ts[i] {
				t.Errorf("task %d of %d is stored as %+v", i, len(ts), rows[id])
			}
		}
	}
}

// createsByKey leaves four tasks, NewTask(20) to NewTask(23), by creates that were repeated. The keys may be there
// already, without tasks.
func createsByKey(t *testing.T, b *storetest.Bundle, s *taskstore.Store) {
	t.Helper()
	ts := storetest.NewTasks(24)[20:]
	for i := range ts {
		ts[i].Key = fmt.Sprintf(`key %d: "\\$1", 'O''Brien', {NULL}, 中文`, i)
	}
	first, err := s.Create(t.Context(), ts[0])
	if err != nil || first != storetest.StoredTask(t, b.Pool, first.ID) ||
		storetest.Input(first) != storetest.NewTask(20) {
		t.Errorf("created %+v, %v", first, err)
	}
	if again, err := s.Create(t.Context(), ts[0]); err != nil || again != first {
		t.Errorf("created again: %+v, %v, want %+v", again, err, first)
	}
	ids, err := s.CreateMany(t.Context(), append(ts, ts[1]))
	if err != nil || len(ids) != 5 || ids[0] != first.ID || ids[4] != ids[1] {
		t.Fatalf("created %v, %v, want the first to be %d and the last to be the second", ids, err, first.ID)
	}
	for i, n := range ts {
		task, err := s.GetByKey(t.Context(), n.Key)
		if err != nil || task != storetest.StoredTask(t, b.Pool, ids[i]) || storetest.Input(task) != storetest.NewTask(20+i) {
			t.Errorf("the key of task %d has %+v, %v", ids[i], task, err)
		}
	}
}

func reads(t *testing.T, b *storetest.Bundle, s *taskstore.Store) {
	t.Helper()
	all := storetest.Stored(t, b.Pool)
	slices.Reverse(all)
	n := storetest.NewTask(3)
	batch := taskstore.Batch{IntegrationID: n.IntegrationID, ClientID: n.ClientID, TemplateID: n.TemplateID}
	kept := all[:0:0]
	for _, task := range all {
		if task.IntegrationID == n.IntegrationID {
			kept = append(kept, task)
		}
	}
	for name, f := range map[string]taskstore.Filter{
		"integration": taskstore.ByIntegration(n.IntegrationID),
		"user":        taskstore.ByUser(n.UserID),
		"client":      taskstore.ByClient(n.ClientID),
		"account":     taskstore.ByAccount(n.AccountID),
		"template":    taskstore.ByTemplate(n.TemplateID),
		"batch":       taskstore.ByBatch(batch),
	} {
		for _, narrowed := range []taskstore.Filter{f, f.WithStatus(taskstore.Pending)} {
			got, err := s.List(t.Context(), narrowed, taskstore.Page{})
			if err != nil || !slices.Equal(got, kept) {
				t.Errorf("list by %s: %v, %v, want %v", name, got, err, kept)
			}
			if n, err := s.Count(t.Context(), narrowed); err != nil || n != int64(len(kept)) {
				t.Errorf("count by %s: %d, %v, want %d", name, n, err, len(kept))
			}
		}
		got, err := s.List(t.Context(), f.WithStatus(taskstore.Failed), taskstore.Page{Limit: 1})
		if err != nil || len(got) != 0 {
			t.Errorf("list of failed by %s: %v, %v", name, got, err)
		}
		if n, err := s.Count(t.Context(), f.WithStatus(taskstore.Failed)); err != nil || n != 0 {
			t.Errorf("count of failed by %s: %d, %v", name, n, err)
		}
	}
	for _, f := range []taskstore.Filter{{}, taskstore.ByStatus(taskstore.Pending)} {
		var got []taskstore.Task
		for task, err := range s.All(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, task)
		}
		if !slices.Equal(got, all) {
			t.Errorf("All yields %d tasks, want the %d stored", len(got), len(all))
		}
		if n, err := s.Count(t.Context(), f); err != nil || n != int64(len(all)) {
			t.Errorf("Count: %d, %v, want %d", n, err, len(all))
		}
	}
	page, err := s.List(t.Context(), taskstore.ByStatus(taskstore.Completed), taskstore.Page{Before: 1 << 62})
	if err != nil || len(page) != 0 {
		t.Errorf("list of completed: %v, %v", page, err)
	}
	counts, err := s.CountByStatus(t.Context())
	if err != nil || len(counts) != 1 || counts[taskstore.Pending] != int64(len(all)) {
		t.Errorf("CountByStatus: %v, %v", counts, err)
	}
	backlog, err := s.Backlog(t.Context())
	want := taskstore.Backlog{Pending: int64(len(all)), OldestPending: all[len(all)-1].CreatedAt}
	if err != nil || backlog != want {
		t.Errorf("Backlog: %+v, %v, want %+v", backlog, err, want)
	}
	shares, err := s.BacklogShares(t.Context(), time.Minute)
	if err != nil || shares.All != (taskstore.Share{Pending: int64(len(all))}) {
		t.Errorf("BacklogShares: %+v, %v", shares, err)
	}
	if reasons, err := s.FailureReasons(t.Context()); err != nil || len(reasons) != 0 {
		t.Errorf("FailureReasons: %+v, %v", reasons, err)
	}
	if n, _, err := s.Finished(t.Context(), time.Now(), 1); err != nil || n != 0 {
		t.Errorf("Finished: %d, %v", n, err)
	}
}

func edits(t *testing.T, b *storetest.Bundle, s *taskstore.Store) {
	t.Helper()
	stale := storetest.Stored(t, b.Pool)[0]
	task := stale
	task.UserID, task.Argument = -7, `{"it's": "new"}`
	task, err := s.Update(t.Context(), task)
	if row := storetest.StoredTask(t, b.Pool, stale.ID); err != nil || row != task || row.UserID != -7 ||
		row.Argument != `{"it's": "new"}` {
		t.Errorf("updated %+v, %v, stored %+v", task, err, row)
	}
	task, err = s.SetStatus(t.Context(), task, taskstore.Failed)
	if row := storetest.StoredTask(t, b.Pool, stale.ID); err != nil || row != task || row.Status != taskstore.Failed {
		t.Errorf("set status of %+v, %v, stored %+v", task, err, row)
	}
	_, err = s.Update(t.Context(), stale)
	storetest.WantError(t, err, taskstore.ErrConflict)
	_, err = s.SetStatus(t.Context(), stale, taskstore.Pending)
	storetest.WantError(t, err, taskstore.ErrConflict)
	if n, err := s.Retry(t.Context(), task.ID, -1); err != nil || n != 1 {
		t.Errorf("Retry: %d, %v", n, err)
	}
	if row := storetest.StoredTask(t, b.Pool, task.ID); row.Status != taskstore.Pending {
		t.Errorf("retried, and stored as %+v", row)
	}
	if err := s.Delete(t.Context(), task.ID); err != nil {
		t.Error(err)
	}
	storetest.WantError(t, s.Delete(t.Context(), task.ID), taskstore.ErrNotFound)
	_, err = s.Get(t.Context(), task.ID)
	storetest.WantError(t, err, taskstore.ErrNotFound)
	_, err = s.Update(t.Context(), task)
	storetest.WantError(t, err, taskstore.ErrNotFound)
}

func works(t *testing.T, b *storetest.Bundle, s *taskstore.Store) {
	t.Helper()
	rows := storetest.Stored(t, b.Pool)
	held := storetest.Claim(t, s, 5)
	storetest.WantIDs(t, "claim", storetest.IDs(held), storetest.IDs(rows[:5])...)
	n := storetest.NewTask(7)
	batch, err := s.ClaimBy(t.Context(),
		taskstore.ByBatch(taskstore.Batch{IntegrationID: n.IntegrationID, ClientID: n.ClientID, TemplateID: n.TemplateID}), 1)
	if err != nil || len(batch) != 1 || storetest.Input(batch[0]) != n {
		t.Fatalf("ClaimBatch: %+v, %v", batch, err)
	}
	held = append(held, batch...)
	late := slices.Clone(held)
	if err := s.Heartbeat(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	for _, task := range held {
		if row := storetest.StoredTask(t, b.Pool, task.ID); row != task || row.Status != taskstore.Processing {
			t.Errorf("held %+v, stored %+v", task, row)
		}
	}
	storetest.WantConflict(t, s.Complete(t.Context(), late...), storetest.IDs(held)...)
	for to, end := range map[taskstore.Status]error{
		taskstore.Completed: s.Complete(t.Context(), held[:2]...),
		taskstore.Failed:    s.Fail(t.Context(), held[2:4]...),
		taskstore.Pending:   s.Release(t.Context(), held[4]),
	} {
		if end != nil {
			t.Errorf("to %v: %v", to, end)
		}
	}
	requeued, err := storetest.Requeue(t.Context(), s, 10)
	if err != nil || !slices.Equal(requeued, storetest.IDs(batch)) {
		t.Errorf("RequeueStale: %v, %v, want %v", requeued, err, storetest.IDs(batch))
	}
	want := []taskstore.Status{2, 2, 3, 3, 0, 0}
	for i, task := range held {
		if row := storetest.StoredTask(t, b.Pool, task.ID); row.Status != want[i] {
			t.Errorf("stored %+v, want status %v", row, want[i])
		}
	}
	deleted, err := s.DeleteFinished(t.Context(), time.UnixMilli(int64(b.Now(t))+1000), 10)
	if err != nil || deleted != 4 || len(storetest.Stored(t, b.Pool)) != len(rows)-4 {
		t.Errorf("DeleteFinished: %d, %v", deleted, err)
	}
}

// commits checks that a caller's transaction sees all its own work, and others see nothing of it before its end.
func commits(t *testing.T, b *storetest.Bundle, s *taskstore.Store, pool *pgxpool.Pool) {
	t.Helper()
	for _, commit := range []bool{false, true} {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			in := s.WithTx(tx)
			created, err := in.CreateMany(t.Context(), storetest.NewTasks(300))
			if err != nil {
				return err
			}
			held, err := in.Claim(t.Context(), 300)
			if err != nil {
				return err
			}
			storetest.WantIDs(t, "claimed in the transaction", storetest.IDs(held), created...)
			if err := in.Complete(t.Context(), held...); err != nil {
				return err
			}
			if n := len(storetest.Stored(t, b.Pool)); n != 0 {
				t.Errorf("%d rows are visible before the commit", n)
			}
			if !commit {
				return pgx.ErrTxClosed // any error
			}
			return nil
		})
		if commit == (err != nil) {
			t.Fatal(err)
		}
		if n := storetest.One[int64](t, b.Pool, `SELECT count(*) FROM tasks WHERE status = 2`); (n == 300) != commit ||
			(n == 0) == commit {
			t.Errorf("commit %v: %d completed tasks are stored", commit, n)
		}
	}
}
