package taskstore

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/dbgen"
)

// Create inserts a pending task and returns it as stored. An Argument that PostgreSQL's text cannot
// hold is ErrInvalid.
//
// Concurrent calls on one Store share statements, and so commits (see [WithoutGroupCommit] and
// docs/performance.md): while one statement is under way, the calls that arrive are gathered and leave together.
func (s *Store) Create(ctx context.Context, t NewTask) (Task, error) {
	if err := checkArgument(t.Argument); err != nil {
		return Task{}, fail(err, "create task")
	}
	row, err := s.create(ctx, t)
	if err != nil {
		return Task{}, fail(err, "create task")
	}
	return Task{
		ID:            row.ID,
		IntegrationID: t.IntegrationID,
		UserID:        t.UserID,
		ClientID:      t.ClientID,
		AccountID:     t.AccountID,
		TemplateID:    t.TemplateID,
		Argument:      t.Argument,
		Status:        row.Status,
		CreatedAt:     row.CreatedAt,
		UpdatedAt:     row.UpdatedAt,
	}, nil
}

// smallArgument is the longest argument, in bytes, of a task that shares a statement. Others have little to gain,
// and many of them would not fit into one message.
const smallArgument = 64 << 10

func (s *Store) create(ctx context.Context, t NewTask) (dbgen.CreateTaskRow, error) {
	if s.concurrent() && len(t.Argument) <= smallArgument {
		return s.creates.do(ctx, t)
	}
	return s.createAlone(ctx, t)
}

func (s *Store) createAlone(ctx context.Context, t NewTask) (dbgen.CreateTaskRow, error) {
	return retry(ctx, s, func() (dbgen.CreateTaskRow, error) {
		return s.q.CreateTask(ctx, dbgen.CreateTaskParams(t))
	})
}

// copyFrom is the number of tasks from which COPY is used. Below it one INSERT is faster, since it
// needs neither a round trip for the ids nor one for the column types.
const copyFrom = 200

// copyBytes is how long the arguments may be together for an INSERT, which is one message of less than 1 GiB.
const copyBytes = 16 << 20

// CreateMany inserts pending tasks, all or none, and returns their ids in the order of ts. Large
// batches go by COPY. The tasks share the time of one transaction as CreatedAt. Any Argument that
// PostgreSQL's text cannot hold is ErrInvalid, which names its index in ts.
func (s *Store) CreateMany(ctx context.Context, ts []NewTask) ([]int64, error) {
	bytes := 0
	for i := range ts {
		if err := checkArgument(ts[i].Argument); err != nil {
			return nil, fail(err, "create %d tasks: index %d", len(ts), i)
		}
		bytes += len(ts[i].Argument)
	}
	if len(ts) > math.MaxInt32 {
		return nil, fail(invalid("more than %d tasks in one call", math.MaxInt32), "create %d tasks", len(ts))
	}
	if len(ts) == 0 {
		return []int64{}, nil
	}
	if len(ts) >= copyFrom || bytes > copyBytes {
		ids, err := retry(ctx, s, func() ([]int64, error) { return s.copy(ctx, ts) })
		if err != nil {
			return nil, fail(err, "create %d tasks", len(ts))
		}
		return ids, nil
	}
	rows, err := s.insert(ctx, ts)
	if err != nil {
		return nil, fail(err, "create %d tasks", len(ts))
	}
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids, nil
}

// insert creates ts by one INSERT and returns what the database made of each.
func (s *Store) insert(ctx context.Context, ts []NewTask) ([]dbgen.CreateTasksRow, error) {
	n := len(ts)
	numbers := make([]int64, 5*n)
	column := func(i int) []int64 { return numbers[i*n : (i+1)*n : (i+1)*n] }
	arg := dbgen.CreateTasksParams{
		IntegrationIds: column(0),
		UserIds:        column(1),
		ClientIds:      column(2),
		AccountIds:     column(3),
		TemplateIds:    column(4),
		Arguments:      make([]string, n),
	}
	for i, t := range ts {
		arg.IntegrationIds[i] = t.IntegrationID
		arg.UserIds[i] = t.UserID
		arg.ClientIds[i] = t.ClientID
		arg.AccountIds[i] = t.AccountID
		arg.TemplateIds[i] = t.TemplateID
		arg.Arguments[i] = t.Argument
	}
	rows, err := retry(ctx, s, func() ([]dbgen.CreateTasksRow, error) { return s.q.CreateTasks(ctx, arg) })
	// Into the order of the input: see the query.
	slices.SortFunc(rows, func(a, b dbgen.CreateTasksRow) int { return cmp.Compare(a.ID, b.ID) })
	return rows, err
}

// copy creates ts by COPY, with ids taken from the sequence before. COPY is one statement, and so all
// or nothing by itself; ids of a COPY that failed are lost, like any number of a sequence.
func (s *Store) copy(ctx context.Context, ts []NewTask) ([]int64, error) {
	ids, err := s.q.ReserveIDs(ctx, int32(len(ts)))
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	_, err = dbgen.New(copier{s.db, &copyRows{ids: ids, tasks: ts}}).CopyTasks(ctx, nil)
	return ids, err
}

// copier gives the generated COPY, which has the columns, rows that cost less than a slice of its parameters.
type copier struct {
	DB
	rows *copyRows
}

// CopyFrom implements [dbgen.DBTX].
func (c copier) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, _ pgx.CopyFromSource) (int64, error) {
	return c.DB.CopyFrom(ctx, table, columns, c.rows)
}

// copyRows are the values of dbgen.CopyTasksParams for each task, in one slice that is used again: pgx has
// written a row before it asks for the next.
type copyRows struct {
	ids   []int64
	tasks []NewTask
	next  int
	row   [7]any
}

// Next implements [pgx.CopyFromSource].
func (r *copyRows) Next() bool {
	r.next++
	return r.next <= len(r.tasks)
}

// Values implements [pgx.CopyFromSource].
func (r *copyRows) Values() ([]any, error) {
	t := &r.tasks[r.next-1]
	r.row = [...]any{r.ids[r.next-1], t.IntegrationID, t.UserID, t.ClientID, t.AccountID, t.TemplateID, t.Argument}
	return r.row[:], nil
}

// Err implements [pgx.CopyFromSource].
func (*copyRows) Err() error { return nil }

// createShared creates one task for each of several callers.
func (s *Store) createShared(ctx context.Context, ts []NewTask) ([]dbgen.CreateTaskRow, error) {
	rows, err := s.insert(ctx, ts)
	out := make([]dbgen.CreateTaskRow, len(rows))
	for i, r := range rows {
		out[i] = dbgen.CreateTaskRow(r)
	}
	return out, err
}
