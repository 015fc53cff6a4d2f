package taskstore

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// sliceRows is how many rows of the primary key one statement of DeleteFinished looks at.
const sliceRows = 1000

// DeleteFinished deletes up to limit completed and failed tasks whose last change is before a time,
// oldest (lowest id) first, and says how many. It works through the table in transactions of at most
// 1,000 rows, so it can run beside everything else; after an error the number says what was deleted.
// Call it until it returns less than limit. The Store remembers where it stopped.
//
// It ends where a thousand rows in a row were created since that time.
func (s *Store) DeleteFinished(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit < 1 {
		return 0, fail(invalid("limit %d is not positive", limit), "delete finished tasks")
	}
	cutoff, total, first := before.UnixMilli(), 0, s.kept.Load()
	for total < limit {
		slice, err := retry(ctx, s, func() (deleted, error) {
			return s.deleteSlice(ctx, cutoff, first, min(limit-total, sliceRows))
		})
		if err != nil {
			return int64(total), fail(err, "delete finished tasks, %d deleted so far", total)
		}
		total, first = total+slice.tasks, slice.next
		if !s.inTx { // what may yet be rolled back is not done
			s.kept.Store(first)
		}
		if slice.end {
			break
		}
	}
	return int64(total), nil
}

// deleted says what deleteSlice did.
type deleted struct {
	tasks int
	next  int64 // where to go on
	end   bool  // that was the last slice to look at
}

// deleteSlice deletes up to limit tasks from the rows that begin at first.
func (s *Store) deleteSlice(ctx context.Context, cutoff, first int64, limit int) (deleted, error) {
	slice, err := s.q.NextSlice(ctx, cutoff, first, sliceRows)
	if err != nil {
		return deleted{}, err
	}
	ids, err := s.q.DeleteFinished(ctx, first, slice.Last, cutoff, int32(limit))
	switch {
	case err != nil:
		return deleted{}, err
	case len(ids) == limit:
		return deleted{tasks: limit, next: slices.Max(ids)}, nil // the slice may hold more
	case slice.Tasks < sliceRows || slice.Older == 0 || slice.Last == math.MaxInt64:
		return deleted{tasks: len(ids), next: bottom, end: true}, nil
	default:
		return deleted{tasks: len(ids), next: slice.Last + 1}, nil
	}
}

// Backlog says how much there is to do.
type Backlog struct {
	Pending, Processing, Failed int64

	// OldestPending is when the task that is claimed next was created, 0 if none is pending.
	OldestPending Millis
}

// Backlog counts what is not completed; what is does not add to its cost.
func (s *Store) Backlog(ctx context.Context) (Backlog, error) {
	row, err := retry(ctx, s, func() (dbgen.GetBacklogRow, error) { return s.q.GetBacklog(ctx) })
	if err != nil {
		return Backlog{}, fail(err, "read the backlog")
	}
	return Backlog{row.Pending, row.Processing, row.Failed, Millis(row.OldestPending)}, nil
}
