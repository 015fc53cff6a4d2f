package taskstore

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// sliceRows is how many rows of the primary key one statement of DeleteFinished looks at.
const sliceRows = 1000

// DeleteFinished deletes up to limit completed and failed tasks whose last change is before a time,
// oldest (lowest id) first, and says how many. It works through the table in transactions of at most
// 1,000 rows, so it can run beside everything else; after an error the number says what was deleted.
// Call it until it returns less than limit: it has come to the end then.
//
// The Store remembers where a call stopped. The next one goes on there, and begins again at the oldest
// task once it has come to the end, which is where a thousand rows in a row are younger than that time. A row
// that comes to be below the oldest task (written back by another program, or by a long transaction) is
// found within an hour.
func (s *Store) DeleteFinished(ctx context.Context, before time.Time, limit int) (int64, error) {
	if limit < 1 {
		return 0, fail(invalid("limit %d is not positive", limit), "delete finished tasks")
	}
	cutoff, total := before.UnixMilli(), 0
	at := s.swept.load()
	first, stop, wrapped := at.next, int64(math.MaxInt64), at.next == at.low
	seen := int64(math.MaxInt64) // how many finished tasks this slice had when it was last looked at
	for over := false; !over && total < limit; {
		slice, err := retry(ctx, s, func() (deleted, error) {
			return s.deleteSlice(ctx, cutoff, at.next, min(limit-total, sliceRows))
		})
		if err != nil {
			return int64(total), fail(err, "delete finished tasks, %d deleted so far", total)
		}
		total += slice.tasks
		if slice.missed && (slice.tasks > 0 || slice.finished < seen) {
			seen = slice.finished // somebody else changed them meanwhile; what was behind them has its turn now
			continue
		}
		seen = math.MaxInt64
		if at.next == at.low {
			at.low = slice.low
		}
		at.next = slice.next
		if slice.end || at.next >= stop {
			over, wrapped = wrapped, true
			at.next, stop = at.low, first
		}
		if !s.inTransaction() { // what may yet be rolled back is not done
			s.swept.store(at)
		}
	}
	return int64(total), nil
}

// deleted says what deleteSlice did.
type deleted struct {
	tasks    int
	finished int64 // how many there were to delete
	missed   bool  // it is fewer than it could have been
	low      int64 // no task is left between the first id of the slice and this one
	next     int64 // where to go on
	end      bool  // that was the last slice to look at
}

// deleteSlice deletes up to limit tasks from the rows that begin at first.
func (s *Store) deleteSlice(ctx context.Context, cutoff, first int64, limit int) (deleted, error) {
	slice, err := s.q.NextSlice(ctx, cutoff, first, sliceRows)
	if err != nil {
		return deleted{}, err
	}
	if slice.Tasks == 0 {
		return deleted{low: first, next: first, end: true}, nil
	}
	d := deleted{finished: slice.Finished, low: first, next: slice.Last}
	if slice.Last < math.MaxInt64 {
		d.next++
	}
	if slice.Finished > 0 {
		ids, err := s.q.DeleteFinished(ctx, first, slice.Last, cutoff, int32(limit))
		if err != nil {
			return deleted{}, err
		}
		if d.tasks = len(ids); d.tasks == limit { // the slice may hold more
			d.next = slices.Max(ids) + 1
		}
	}
	if d.missed = int64(d.tasks) < min(slice.Finished, int64(limit)); !d.missed {
		d.low = min(slice.Kept, d.next)
	}
	d.end = d.tasks < limit && (slice.Tasks < sliceRows || slice.Older == 0 || slice.Last == math.MaxInt64)
	return d, nil
}

// sweeper remembers how far DeleteFinished has come: what it has deleted stays in the primary key until
// vacuum comes, and as long as any transaction holds an old snapshot.
type sweeper struct {
	mu    sync.Mutex
	at    sweep
	since time.Time // when the whole table was last to be looked at
}

type sweep struct {
	low  int64 // no task has a lower id, as far as was seen
	next int64 // where the next call begins
}

// sweepAge is how long rows may be overlooked that came to be below the oldest task: rows whose
// transaction was long, or which another program has written back.
const sweepAge = time.Hour

func (s *sweeper) load() sweep {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.since) >= sweepAge {
		s.at, s.since = sweep{low: bottom, next: bottom}, now
	}
	return s.at
}

func (s *sweeper) store(at sweep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
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
