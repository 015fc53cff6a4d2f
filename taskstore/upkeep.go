package taskstore

import (
	"context"
	"math"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// sliceRows is how many rows of the primary key one statement of DeleteFinished looks at.
const sliceRows = 1000

// DeleteFinished deletes up to limit completed and failed tasks whose last change is before a time, with their keys,
// oldest (lowest id) first, and says how many. It works through the table in transactions of at most
// 1,000 rows, so it can run beside everything else; after an error the number says what was deleted. A row that
// another session has locked is passed by.
//
// Call it until it returns less than limit: it has looked at every row then. The Store remembers where a
// call stopped, and the next one goes on there. A whole pass reads the whole table.
func (s *Store) DeleteFinished(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit < 1 {
		return 0, fail(invalid("limit %d is not positive", limit), "delete finished tasks")
	}
	cutoff := before.UnixMilli()
	if before.After(time.UnixMilli(cutoff)) {
		cutoff++ // versions are whole milliseconds
	}
	p := pass{
		look: func(first int64) (dbgen.NextSliceRow, error) {
			if s.citus {
				return s.nextOnShards(ctx, first, cutoff)
			}
			return read(ctx, s, func(q *dbgen.Queries) (dbgen.NextSliceRow, error) {
				return q.NextSlice(ctx, first, sliceRows, cutoff)
			})
		},
		remove: func(first, last int64, limit int) (dbgen.DeleteFinishedRow, error) {
			if s.citus {
				return s.deleteFinishedOnShards(ctx, first, last, cutoff, limit)
			}
			return write(ctx, s, func(db DB) (dbgen.DeleteFinishedRow, error) {
				return dbgen.New(db).DeleteFinished(ctx, first, last, cutoff, int32(limit))
			})
		},
	}
	n, next, err := p.run(s.swept.Load(), limit)
	if !s.inTransaction() { // what may yet be rolled back is not done
		s.swept.Store(next)
	}
	return n, fail(err, "delete finished tasks, %d deleted so far", n)
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
			if err != nil {
				return n, first, err
			}
			n += gone.Deleted
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

// Backlog says how much there is to do.
type Backlog struct {
	Pending, Processing, Failed int64

	// OldestPending is when the task that is claimed next was created, 0 if none is pending.
	OldestPending Millis
}

// Backlog counts what is not completed; what is does not add to its cost.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	row, err := read(ctx, s, func(q *dbgen.Queries) (dbgen.GetBacklogRow, error) { return q.GetBacklog(ctx) })
	if err != nil {
		return Backlog{}, fail(err, "read the backlog")
	}
	return Backlog{row.Pending, row.Processing, row.Failed, Millis(row.OldestPending)}, nil
}
