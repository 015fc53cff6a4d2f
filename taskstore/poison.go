package taskstore

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// poison remembers the tasks that somebody else's constraint or trigger does not let be changed.
type poison struct {
	mu    sync.Mutex
	until map[int64]time.Time
}

const poisonAge = time.Minute

func newPoison() *poison { return &poison{until: make(map[int64]time.Time)} }

func (p *poison) add(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until[id] = time.Now().Add(poisonAge)
}

// ids returns the tasks to pass over now.
func (p *poison) ids() []int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(p.until, func(_ int64, until time.Time) bool { return !now.Before(until) })
	return slices.AppendSeq(make([]int64, 0, len(p.until)), maps.Keys(p.until))
}

// claimAround claims what a claim that failed for one of its rows would have taken, without that row.
func (s *Store) claimAround(ctx context.Context, from Filter, first int64, n int) ([]Task, error) {
	arg := dbgen.ListPendingIDsParams{First: first, Avoid: s.poison.ids(), MaxRows: int32(n)}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = from.owners()
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) { return q.ListPendingIDs(ctx, arg) })
	if err != nil {
		return nil, err
	}
	ts, err := s.claimListed(ctx, ids)
	return doneBefore(ctx, s, err, ts)
}

// doneBefore returns what a call has done before err, without it: an error would say that nothing was written. In a
// caller's transaction it is rolled back.
func doneBefore[T any](ctx context.Context, s *Store, err error, done []T) ([]T, error) {
	if err == nil {
		return done, nil
	}
	if len(done) == 0 || s.inTransaction() {
		return nil, err
	}
	s.log.WarnContext(ctx, "taskstore: did fewer tasks than asked for", "tasks", len(done), "error", err)
	return done, nil
}

// deleteAround deletes what a DeleteFinished that failed for one of its rows would have deleted of a slice, without
// that row. What refuses is tried again in each pass.
func (s *Store) deleteAround(
	ctx context.Context, first, last, before int64, limit int,
) (sum dbgen.DeleteFinishedRow, err error) {
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) {
		return q.ListFinished(ctx, first, last, before, int32(limit))
	})
	if err != nil {
		return sum, err
	}
	deleted, err := inParts(ctx, s, "delete", ids, func(ids []int64) ([]int64, error) {
		row, err := s.deleteBy(ctx, ids[0], ids[len(ids)-1], before, len(ids))
		return []int64{row.Deleted}, err
	})
	for _, n := range deleted {
		sum.Deleted += n
	}
	if err == nil { // what side tables have of the rest of the slice
		_, err = s.deleteBy(ctx, first, last, before, 0)
	}
	sum.Picked, sum.LastPicked = int64(len(ids)), slices.Max(append(ids, first))
	return sum, err
}

// inParts does f to all of ids at once and, where one of the tasks may be why that failed, to ever smaller parts of
// them, until it has found the tasks that are. Those are logged and passed over for a while.
func inParts[T any](
	ctx context.Context, s *Store, op string, ids []int64, f func(ids []int64) ([]T, error),
) ([]T, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	done, err := f(ids)
	if !isPoison(err) || s.inTransaction() {
		return done, err
	}
	if len(ids) == 1 {
		s.poison.add(ids[0])
		s.log.WarnContext(ctx, "taskstore: a task refuses to be changed, passing it over for a while",
			"op", op, "task", ids[0], "for", poisonAge, "error", err)
		return nil, nil
	}
	done, err = inParts(ctx, s, op, ids[:len(ids)/2], f)
	if err != nil {
		return done, err
	}
	more, err := inParts(ctx, s, op, ids[len(ids)/2:], f)
	return append(done, more...), err
}

// goesAround reports whether a statement that failed by err is to be tried without the task that may be why.
func (s *Store) goesAround(err error) bool { return isPoison(err) && !s.inTransaction() }

// isPoison reports whether one of the tasks may be why a write failed. That it took too long, as behind a table that
// somebody has locked, is not the fault of a task: looking for it would take as long again and again.
func isPoison(err error) bool {
	code := sqlState(err)
	return isRowsFault(err) && code != "57014" && code != "55P03" // query_canceled, lock_not_available
}
