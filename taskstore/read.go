package taskstore

import (
	"context"
	"iter"
	"math"

	"github.com/tasklane/tasks/dbgen"
)

// The size of a page: what [Page] means by 0, and the most it may ask for.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// Page says which part of a list to read: pages go by id, from the newest task down.
type Page struct {
	Before int64 // only ids below it; 0, which no id of the sequence is: start at the newest
	Limit  int   // 0: 100; above 1000 or negative: ErrInvalid
}

// Get returns the task with that id, or ErrNotFound.
func (s *Store) Get(ctx context.Context, id int64) (Task, error) {
	t, err := read(ctx, s, func(q *dbgen.Queries) (Task, error) { return q.GetTask(ctx, id) })
	if err != nil {
		return Task{}, fail(err, "get task %d", id)
	}
	return t, nil
}

// List returns one page of the tasks that f selects, newest (highest id) first. The page after it is
// the one Before the last id of this one; a page shorter than its limit is the last.
func (s *Store) List(ctx context.Context, f Filter, p Page) ([]Task, error) {
	if err := f.check(); err != nil {
		return nil, fail(err, "list tasks")
	}
	limit := p.Limit
	switch {
	case limit < 0 || limit > maxLimit:
		return nil, fail(invalid("limit %d is not between 0 and %d", limit, maxLimit), "list tasks")
	case limit == 0:
		limit = defaultLimit
	}
	last := int64(math.MaxInt64)
	if p.Before == math.MinInt64 {
		return []Task{}, nil // no id is below it
	} else if p.Before != 0 {
		last = p.Before - 1
	}
	return s.list(ctx, f, last, limit)
}

func (s *Store) list(ctx context.Context, f Filter, last int64, limit int) ([]Task, error) {
	ts, err := retry(ctx, s, func() ([]Task, error) {
		return tasksFrom(s.db, limit, f.skewed() && s.prepares, func(q *dbgen.Queries) ([]Task, error) {
			return f.list(ctx, q, last, int32(limit))
		})
	})
	if err != nil {
		return nil, fail(err, "list tasks")
	}
	return ts, nil
}

// All yields every task that f selects, newest first, reading pages of 1000 as they are needed. No
// connection is held between pages, so the loop may take its time and stop anywhere. Tasks that are
// inserted or deleted meanwhile may or may not be seen; every other one is seen exactly once. After an
// error, which comes with a zero Task, the loop ends.
func (s *Store) All(ctx context.Context, f Filter) iter.Seq2[Task, error] {
	return func(yield func(Task, error) bool) {
		if err := f.check(); err != nil {
			yield(Task{}, fail(err, "list tasks"))
			return
		}
		for last := int64(math.MaxInt64); ; {
			page, err := s.list(ctx, f, last, maxLimit)
			if err != nil {
				yield(Task{}, err)
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
			}
			if len(page) < maxLimit || page[len(page)-1].ID == math.MinInt64 {
				return
			}
			last = page[len(page)-1].ID - 1
		}
	}
}

// Count returns how many tasks f selects. Its cost grows with that number.
func (s *Store) Count(ctx context.Context, f Filter) (int64, error) {
	if err := f.check(); err != nil {
		return 0, fail(err, "count tasks")
	}
	n, err := retry(ctx, s, func() (int64, error) {
		return f.count(ctx, dbgen.New(&reader{DB: s.db, planned: f.skewed() && s.prepares}))
	})
	if err != nil {
		return 0, fail(err, "count tasks")
	}
	return n, nil
}

// CountByStatus returns how many tasks each status has; a status that no task has is absent. It reads
// the whole table, or all of idx_status: see [Store.Backlog] for what is cheap to ask often.
func (s *Store) CountByStatus(ctx context.Context) (map[Status]int64, error) {
	rows, err := read(ctx, s, func(q *dbgen.Queries) ([]dbgen.CountByStatusRow, error) { return q.CountByStatus(ctx) })
	if err != nil {
		return nil, fail(err, "count tasks by status")
	}
	counts := make(map[Status]int64, len(rows))
	for _, r := range rows {
		counts[r.Status] = r.Tasks
	}
	return counts, nil
}
