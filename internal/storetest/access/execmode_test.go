package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// How pgx sends a query decides who says the types of its parameters: the server, or the Go values.
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
			b := setup(t)
			pool := b.connect(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			everyMethod(t, b, pool)
		})
	}
}

// everyMethod calls each method of a Store over pool and looks at what is stored by b's own connections.
func everyMethod(t *testing.T, b *bundle, pool *pgxpool.Pool) {
	t.Helper()
	for name, s := range map[string]*taskstore.Store{
		"plain":      taskstore.New(pool),
		"optimistic": taskstore.New(pool, taskstore.WithOptimisticClaims(), taskstore.WithGroupCommit()),
	} {
		b.exec(t, `TRUNCATE tasks`)
		creates(t, b, s)
		reads(t, b, s)
		edits(t, b, s)
		works(t, b, s)
		b.exec(t, `TRUNCATE tasks`)
		commits(t, b, s, pool)
		if t.Failed() {
			t.Fatalf("by the %s store", name)
		}
	}
}

// creates leaves ten tasks by Create, newTask(0) to newTask(9), and 2 + 300 by CreateMany.
func creates(t *testing.T, b *bundle, s *taskstore.Store) {
	t.Helper()
	for n := range 10 {
		task, err := s.Create(t.Context(), newTask(n))
		if err != nil {
			t.Fatal(err)
		}
		if row := storedTask(t, b.pool, task.ID); row != task || input(row) != newTask(n) {
			t.Errorf("created %+v, stored %+v", task, row)
		}
	}
	hard := newTasks(2)
	hard[0].Argument = "{\"a\": \"O'Brien \\\\ $1 -- \u4e2d\u6587 \U0001f600\"}"
	hard[1].IntegrationID, hard[1].UserID = -1<<63, 1<<63-1
	for _, ts := range [][]taskstore.NewTask{hard, newTasks(300)} { // INSERT, COPY
		ids, err := s.CreateMany(t.Context(), ts)
		if err != nil {
			t.Fatal(err)
		}
		rows := map[int64]taskstore.Task{}
		for _, row := range stored(t, b.pool) {
			rows[row.ID] = row
		}
		for i, id := range ids {
			if input(rows[id]) != ts[i] {
				t.Errorf("task %d of %d is stored as %+v", i, len(ts), rows[id])
			}
		}
	}
}

func reads(t *testing.T, b *bundle, s *taskstore.Store) {
	t.Helper()
	all := stored(t, b.pool)
	slices.Reverse(all)
	n := newTask(3)
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
}

func edits(t *testing.T, b *bundle, s *taskstore.Store) {
	t.Helper()
	stale := stored(t, b.pool)[0]
	task := stale
	task.UserID, task.Argument = -7, `{"it's": "new"}`
	task, err := s.Update(t.Context(), task)
	if row := storedTask(t, b.pool, stale.ID); err != nil || row != task || row.UserID != -7 || row.Argument != `{"it's": "new"}` {
		t.Errorf("updated %+v, %v, stored %+v", task, err, row)
	}
	task, err = s.SetStatus(t.Context(), task, taskstore.Failed)
	if row := storedTask(t, b.pool, stale.ID); err != nil || row != task || row.Status != taskstore.Failed {
		t.Errorf("set status of %+v, %v, stored %+v", task, err, row)
	}
	_, err = s.Update(t.Context(), stale)
	wantError(t, err, taskstore.ErrConflict)
	_, err = s.SetStatus(t.Context(), stale, taskstore.Pending)
	wantError(t, err, taskstore.ErrConflict)
	if n, err := s.Retry(t.Context(), task.ID, -1); err != nil || n != 1 {
		t.Errorf("Retry: %d, %v", n, err)
	}
	if row := storedTask(t, b.pool, task.ID); row.Status != taskstore.Pending {
		t.Errorf("retried, and stored as %+v", row)
	}
	if err := s.Delete(t.Context(), task.ID); err != nil {
		t.Error(err)
	}
	wantError(t, s.Delete(t.Context(), task.ID), taskstore.ErrNotFound)
	_, err = s.Get(t.Context(), task.ID)
	wantError(t, err, taskstore.ErrNotFound)
	_, err = s.Update(t.Context(), task)
	wantError(t, err, taskstore.ErrNotFound)
}

func works(t *testing.T, b *bundle, s *taskstore.Store) {
	t.Helper()
	rows := stored(t, b.pool)
	held := claim(t, s, 5)
	wantIDs(t, "claim", ids(held), ids(rows[:5])...)
	n := newTask(7)
	batch, err := s.ClaimBatch(t.Context(), taskstore.Batch{IntegrationID: n.IntegrationID, ClientID: n.ClientID, TemplateID: n.TemplateID}, 1)
	if err != nil || len(batch) != 1 || input(batch[0]) != n {
		t.Fatalf("ClaimBatch: %+v, %v", batch, err)
	}
	held = append(held, batch...)
	late := slices.Clone(held)
	if err := s.Heartbeat(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	for _, task := range held {
		if row := storedTask(t, b.pool, task.ID); row != task || row.Status != taskstore.Processing {
			t.Errorf("held %+v, stored %+v", task, row)
		}
	}
	wantConflict(t, s.Complete(t.Context(), late...), ids(held)...)
	for to, end := range map[taskstore.Status]error{
		taskstore.Completed: s.Complete(t.Context(), held[:2]...),
		taskstore.Failed:    s.Fail(t.Context(), held[2:4]...),
		taskstore.Pending:   s.Release(t.Context(), held[4]),
	} {
		if end != nil {
			t.Errorf("to %v: %v", to, end)
		}
	}
	requeued, err := s.RequeueStale(t.Context(), 0, 10)
	if err != nil || !slices.Equal(requeued, ids(batch)) {
		t.Errorf("RequeueStale: %v, %v, want %v", requeued, err, ids(batch))
	}
	want := []taskstore.Status{2, 2, 3, 3, 0, 0}
	for i, task := range held {
		if row := storedTask(t, b.pool, task.ID); row.Status != want[i] {
			t.Errorf("stored %+v, want status %v", row, want[i])
		}
	}
	deleted, err := s.DeleteFinished(t.Context(), time.UnixMilli(int64(b.now(t))+1000), 10)
	if err != nil || deleted != 4 || len(stored(t, b.pool)) != len(rows)-4 {
		t.Errorf("DeleteFinished: %d, %v", deleted, err)
	}
}

// commits lets a transaction of the caller's see all its own work, and others nothing before its end.
func commits(t *testing.T, b *bundle, s *taskstore.Store, pool *pgxpool.Pool) {
	t.Helper()
	for _, commit := range []bool{false, true} {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			in := s.WithTx(tx)
			created, err := in.CreateMany(t.Context(), newTasks(300))
			if err != nil {
				return err
			}
			held, err := in.Claim(t.Context(), 300)
			if err != nil {
				return err
			}
			wantIDs(t, "claimed in the transaction", ids(held), created...)
			if err := in.Complete(t.Context(), held...); err != nil {
				return err
			}
			if n := len(stored(t, b.pool)); n != 0 {
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
		if n := one[int64](t, b.pool, `SELECT count(*) FROM tasks WHERE status = 2`); (n == 300) != commit || (n == 0) == commit {
			t.Errorf("commit %v: %d completed tasks are stored", commit, n)
		}
	}
}
