package taskstore

import (
	"context"
	"math"
	"slices"
	"time"
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
	cutoff := before.UnixMilli()
	total, first, end := 0, s.kept.Load(), false
	for total < limit && !end {
		var deleted int
		err := s.retry(ctx, func() (err error) {
			deleted, first, end, err = s.deleteSlice(ctx, cutoff, first, min(limit-total, sliceRows))
			return err
		})
		total += deleted
		if err != nil {
			return int64(total), fail(err, "delete finished tasks, %d deleted so far", total)
		}
		if !s.inTx { // what may yet be rolled back is not done
			s.kept.Store(first)
		}
	}
	return int64(total), nil
}

// deleteSlice deletes up to limit tasks from the rows that begin at first. It says where to go on, and
// whether that was the last slice to look at.
func (s *Store) deleteSlice(ctx context.Context, cutoff, first int64, limit int) (deleted int, next int64, end bool, err error) {
	slice, err := s.q.NextSlice(ctx, cutoff, first, sliceRows)
	if err != nil {
		return 0, first, false, err
	}
	ids, err := s.q.DeleteFinished(ctx, first, slice.Last, cutoff, int32(limit)) //nolint:gosec // at most sliceRows
	switch {
	case err != nil:
		return 0, first, false, err
	case len(ids) == limit:
		return limit, slices.Max(ids), false, nil // the slice may hold more
	case slice.Tasks < sliceRows || slice.Older == 0 || slice.Last == math.MaxInt64:
		return len(ids), bottom, true, nil
	default:
		return len(ids), slice.Last + 1, false, nil
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
	var b Backlog
	err := s.retry(ctx, func() error {
		row, err := s.q.GetBacklog(ctx)
		b = Backlog{row.Pending, row.Processing, row.Failed, Millis(row.OldestPending)}
		return err
	})
	if err != nil {
		return Backlog{}, fail(err, "read the backlog")
	}
	return b, nil
}
