package taskstore

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/dbgen"
)

// Create inserts a pending task and returns it as stored, whatever a trigger made of it. With a Key that is taken it
// writes nothing and returns the task that has the key. An Argument that PostgreSQL's text cannot hold, or a Key of
// more than 512 bytes, is ErrInvalid; so is a trigger of somebody else that drops the row, or changes the id of one
// with a Key. After ErrUncertain, a create with a Key may be repeated until it answers.
//
// Concurrent calls on one Store without a Key share statements, and so commits (see [WithGroupCommit] and
// docs/performance.md).
func (s *Store) Create(ctx context.Context, t NewTask) (Task, error) {
	if err := t.check(); err != nil {
		return Task{}, fail(err, "create task")
	}
	create := s.createAlone
	switch {
	case t.Key != "":
		create = s.createKeyed
	case s.creates != nil && connOf(s.db) == nil && len(t.Argument) <= smallArgument:
		create = s.creates.do
	}
	row, err := create(ctx, t)
	if errors.Is(err, pgx.ErrNoRows) {
		err = invalid("a trigger or rule of tasks dropped the row")
	}
	if err != nil {
		return Task{}, fail(err, "create task")
	}
	s.arrivals.announce(t)
	return row, nil
}

// smallArgument is the longest argument, in bytes, of a task that shares a statement. Others have little to gain,
// and many of them would not fit into one message.
const smallArgument = 64 << 10

func (s *Store) createAlone(ctx context.Context, t NewTask) (Task, error) {
	return write(ctx, s, func(db DB) (Task, error) {
		return dbgen.New(db).CreateTask(ctx, dbgen.CreateTaskParams{
			IntegrationID: t.IntegrationID,
			UserID:        t.UserID,
			ClientID:      t.ClientID,
			AccountID:     t.AccountID,
			TemplateID:    t.TemplateID,
			Argument:      t.Argument,
		})
	})
}

// createShared creates tasks of several callers by one statement.
func (s *Store) createShared(ctx context.Context, board func() []NewTask) ([]Task, error) {
	var out []Task
	rows, err := write(ctx, s, func(db DB) ([]dbgen.CreateTasksSharedRow, error) {
		ts := board()
		c := columnsOf(ts)
		out = make([]Task, len(ts))
		return dbgen.New(db).CreateTasksShared(ctx, dbgen.CreateTasksSharedParams{
			IntegrationIds: c.integrations, UserIds: c.users, ClientIds: c.clients, AccountIds: c.accounts,
			TemplateIds: c.templates, Arguments: c.arguments,
		})
	})
	if err == nil && len(rows) != len(out) { // none: were it some, the statement would have failed
		err = pgx.ErrNoRows
	}
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		out[r.Position-1] = Task{
			ID:            r.ID,
			IntegrationID: r.IntegrationID,
			UserID:        r.UserID,
			ClientID:      r.ClientID,
			AccountID:     r.AccountID,
			TemplateID:    r.TemplateID,
			Argument:      r.Argument,
			Status:        Status(r.Status),
			CreatedAt:     Millis(r.CreatedAt),
			UpdatedAt:     Millis(r.UpdatedAt),
		}
	}
	return out, nil
}

// createKeyed creates a task with a key, or returns the one that has it.
func (s *Store) createKeyed(ctx context.Context, t NewTask) (Task, error) {
	if s.citus {
		return s.createKeyedOnShards(ctx, t)
	}
	for {
		rows, err := write(ctx, s, func(db DB) ([]dbgen.CreateKeyedTaskRow, error) {
			return dbgen.New(db).CreateKeyedTask(ctx, dbgen.CreateKeyedTaskParams{
				IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID, AccountID: t.AccountID,
				TemplateID: t.TemplateID, Argument: t.Argument, Key: t.Key,
			})
		})
		if err != nil {
			return Task{}, err
		}
		for _, r := range rows { // one, or none: then the next look finds it
			return Task{
				ID:            r.ID,
				IntegrationID: r.IntegrationID,
				UserID:        r.UserID,
				ClientID:      r.ClientID,
				AccountID:     r.AccountID,
				TemplateID:    r.TemplateID,
				Argument:      r.Argument,
				Status:        Status(r.Status),
				CreatedAt:     Millis(r.CreatedAt),
				UpdatedAt:     Millis(r.UpdatedAt),
			}, nil
		}
	}
}

// maxBytes is how long the arguments of one call may be together. One statement is one message of less than 1 GiB.
const maxBytes = 512 << 20

// CreateMany inserts pending tasks by one statement, all or none, and returns their ids in the order of ts. They share
// one CreatedAt. A task whose Key is taken, by a task in the table or by one before it in ts, is not
// inserted: its place in the result has the id of the task that has the key. Arguments of more than 512 MiB together,
// an Argument that PostgreSQL's text cannot hold or a Key that is too long are ErrInvalid, and the error names the
// index in ts. So is a trigger of somebody else that drops rows or changes their ids: use [Store.Create] there.
func (s *Store) CreateMany(ctx context.Context, ts []NewTask) ([]int64, error) {
	bytes := 0
	for i := range ts {
		if err := ts[i].check(); err != nil {
			return nil, fail(err, "create %d tasks: index %d", len(ts), i)
		}
		if bytes += len(ts[i].Argument) + len(ts[i].Key); bytes > maxBytes {
			return nil, fail(invalid("arguments of more than %d MiB together: split the call", maxBytes>>20),
				"create %d tasks: index %d", len(ts), i)
		}
	}
	if len(ts) > math.MaxInt32/8 { // an array's length in bytes is an int32
		return nil, fail(invalid("more than %d tasks: split the call", math.MaxInt32/8), "create %d tasks", len(ts))
	}
	if len(ts) == 0 {
		return []int64{}, nil
	}
	ids, err := s.insert(ctx, ts)
	if err != nil {
		return nil, fail(err, "create %d tasks", len(ts))
	}
	s.arrivals.announce(ts...)
	return ids, nil
}

// insert creates ts, all or none.
func (s *Store) insert(ctx context.Context, ts []NewTask) ([]int64, error) {
	if s.citus {
		return s.insertOnShards(ctx, ts)
	}
	return s.insertAtOnce(ctx, ts)
}

// insertAtOnce creates ts by one statement.
func (s *Store) insertAtOnce(ctx context.Context, ts []NewTask) ([]int64, error) {
	c := columnsOf(ts)
	return write(ctx, s, func(db DB) ([]int64, error) {
		if c.keys == nil {
			return dbgen.New(db).CreateTasks(ctx, dbgen.CreateTasksParams{
				IntegrationIds: c.integrations, UserIds: c.users, ClientIds: c.clients, AccountIds: c.accounts,
				TemplateIds: c.templates, Arguments: c.arguments,
			})
		}
		return dbgen.New(db).CreateKeyedTasks(ctx, dbgen.CreateKeyedTasksParams{
			IntegrationIds: c.integrations, UserIds: c.users, ClientIds: c.clients, AccountIds: c.accounts,
			TemplateIds: c.templates, Arguments: c.arguments, Keys: c.keys,
		})
	})
}

// columns are tasks as the statements take them.
type columns struct {
	integrations, users, clients, accounts, templates []int64
	arguments                                         []string
	keys                                              []string // nil if no task has one
}

func columnsOf(ts []NewTask) columns {
	n := len(ts)
	numbers := make([]int64, 5*n)
	column := func(i int) []int64 { return numbers[i*n : (i+1)*n : (i+1)*n] }
	c := columns{column(0), column(1), column(2), column(3), column(4), make([]string, n), nil}
	for i, t := range ts {
		c.integrations[i], c.users[i], c.clients[i] = t.IntegrationID, t.UserID, t.ClientID
		c.accounts[i], c.templates[i], c.arguments[i] = t.AccountID, t.TemplateID, t.Argument
		if t.Key != "" {
			if c.keys == nil {
				c.keys = make([]string, n)
			}
			c.keys[i] = t.Key
		}
	}
	return c
}

// GetByKey returns the task that was created with that key, or ErrNotFound.
func (s *Store) GetByKey(ctx context.Context, key string) (Task, error) {
	t, err := Task{}, checkKey(key)
	if err == nil {
		t, err = read(ctx, s, func(q *dbgen.Queries) (Task, error) {
			if !s.citus {
				return q.GetTaskByKey(ctx, key)
			}
			id, err := q.GetTaskIDByKey(ctx, key)
			if err != nil {
				return Task{}, err
			}
			return q.GetTask(ctx, id)
		})
	}
	if err != nil {
		return Task{}, fail(err, "get task by key %q", key)
	}
	return t, nil
}
