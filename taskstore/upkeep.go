package taskstore

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// sliceRows is how many rows of the primary key one statement of DeleteFinished looks at.
const sliceRows = 1000

// DeleteFinished deletes up to limit completed and failed tasks whose last change is before a time, with their keys,
// oldest (lowest id) first, and says how many. It works through the table in transactions of at most
// 1,000 rows, so it can run beside everything else; after an error the number says what was deleted. A row that
// another session has locked is passed by, and so is one that somebody else's trigger keeps by an error; that is
// logged.
//
// Call it until it returns less than limit: it has looked at every row then. The Store remembers where a
// call stopped, and the next one goes on there. A whole pass reads the whole table, minutes long at 50 million rows:
// make one an hour or a night, not a minute. A call that reaches its limit reads no further.
func (s *Store) DeleteFinished(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit < 1 {
		return 0, fail(invalid("limit %d is not positive", limit), "delete finished tasks")
	}
	cutoff := cutoffOf(before)
	p := pass{
		look: func(first int64) (dbgen.NextSliceRow, error) { return s.nextSlice(ctx, first, cutoff) },
		remove: func(first, last int64, limit int) (dbgen.DeleteFinishedRow, error) {
			if s.citus {
				return s.deleteFinishedOnShards(ctx, first, last, cutoff, limit)
			}
			gone, err := s.deleteBy(ctx, first, last, cutoff, limit)
			if s.goesAround(err) {
				return s.deleteAround(ctx, first, last, cutoff, limit)
			}
			return gone, err
		},
	}
	n, next, err := p.run(s.swept.Load(), limit)
	if !s.inTransaction() { // what may yet be rolled back is not done
		s.swept.Store(next)
	}
	return n, fail(err, "delete finished tasks, %d deleted so far", n)
}

func (s *Store) deleteBy(ctx context.Context, first, last, before int64, limit int) (dbgen.DeleteFinishedRow, error) {
	return write(ctx, s, func(db DB) (dbgen.DeleteFinishedRow, error) {
		return dbgen.New(db).DeleteFinished(ctx, first, last, before, int32(limit))
	})
}

// cutoffOf returns the first version that is not before a time.
func cutoffOf(before time.Time) int64 {
	cutoff := MillisOf(before)
	if before.After(cutoff.Time()) {
		return after(int64(cutoff)) // versions are whole milliseconds
	}
	return int64(cutoff)
}

func (s *Store) nextSlice(ctx context.Context, first, cutoff int64) (dbgen.NextSliceRow, error) {
	if s.citus {
		return s.nextOnShards(ctx, first, cutoff)
	}
	return read(ctx, s, func(q *dbgen.Queries) (dbgen.NextSliceRow, error) {
		return q.NextSlice(ctx, first, sliceRows, cutoff)
	})
}

// Finished says how many tasks [Store.DeleteFinished] would delete with the same arguments, and returns the oldest of
// them, at most ten. It reads the table from the lowest id on, 1,000 rows a statement, until it has counted limit.
func (s *Store) Finished(ctx context.Context, before time.Time, limit int) (n int64, oldest []Task, err error) {
	if limit < 1 {
		return 0, nil, fail(invalid("limit %d is not positive", limit), "count finished tasks")
	}
	const shown = 10
	cutoff := cutoffOf(before)
	for first := int64(bottom); ; {
		slice, err := s.nextSlice(ctx, first, cutoff)
		if err != nil {
			return n, oldest, fail(err, "count finished tasks, %d so far", n)
		}
		if more := min(shown, limit) - len(oldest); slice.Finished > 0 && more > 0 {
			ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) {
				return q.ListFinished(ctx, first, slice.Last, cutoff, int32(more))
			})
			if err != nil {
				return n, oldest, fail(err, "count finished tasks, %d so far", n)
			}
			for _, id := range ids {
				t, err := s.Get(ctx, id)
				if err == nil {
					oldest = append(oldest, t)
				} else if !errors.Is(err, ErrNotFound) { // deleted meanwhile
					return n, oldest, err
				}
			}
		}
		if n += slice.Finished; n >= int64(limit) || slice.Last == math.MaxInt64 {
			return min(n, int64(limit)), oldest, nil
		}
		first = slice.Last + 1
	}
}

// pass is one walk of DeleteFinished through the table, slice by slice.
type pass struct {
	look   func(first int64) (dbgen.NextSliceRow, error)
	remove func(first, last int64, limit int) (dbgen.DeleteFinishedRow, error)
}

// run begins at began, goes on at the bottom when it has come to the end, and ends where it began. It says how many
// tasks it deleted, at most limit, and where the next pass is to begin.
func (p pass) run(began int64, limit int) (n, next int64, err error) {
	n, next, err = p.sweep(began, math.MaxInt64, int64(limit))
	if err != nil || n == int64(limit) {
		return n, next, err
	}
	if began > bottom {
		var below int64
		below, next, err = p.sweep(bottom, began-1, int64(limit)-n)
		if n += below; err != nil || n == int64(limit) {
			return n, next, err
		}
	}
	return n, bottom, nil
}

// sweep deletes up to limit tasks with ids from first to last, and says where to go on.
func (p pass) sweep(first, last, limit int64) (n, next int64, err error) {
	for n < limit && first <= last {
		slice, err := p.look(first)
		if err != nil {
			return n, first, err
		}
		upTo := min(slice.Last, last)
		if slice.Finished > 0 || slice.Orphans {
			want := min(limit-n, sliceRows)
			gone, err := p.remove(first, upTo, int(want))
			if n += gone.Deleted; err != nil {
				return n, first, err
			}
			if gone.Picked == want { // more may be left behind the last of them
				upTo = gone.LastPicked
			}
		}
		if upTo == math.MaxInt64 {
			return n, bottom, nil
		}
		first = upTo + 1
	}
	return n, first, nil
}
