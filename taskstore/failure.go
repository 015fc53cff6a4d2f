package taskstore

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// Failure says how a claimed task failed.
type Failure struct {
	Task    Task
	Reason  string        // cut to 10 kB, and to valid UTF-8 without NUL
	RetryIn time.Duration // 0: not by itself again. Rounded up to whole milliseconds; see [Store.RetryDue]
}

// LastFailure is what is known of the failures of a task.
type LastFailure struct {
	Count   int    // failures so far
	Reason  string // the last one's
	At      Millis
	RetryAt Millis // 0: not by itself again
}

// FailWith is [Store.Fail] with the reasons, and the times after which [Store.RetryDue] is to try again, all in one
// statement. A negative RetryIn is ErrInvalid. Reasons are kept in the side table task_failures until the task is
// deleted, or until [Store.DeleteFinished] comes by after it was completed. Do not put an argument into a reason.
func (s *Store) FailWith(ctx context.Context, fs ...Failure) error {
	arg, held, err := failuresOf(fs)
	if err == nil && len(fs) > 0 {
		var done []int64
		if done, err = s.failAll(ctx, arg); err == nil {
			err = conflict(held.lost(done))
		}
	}
	return fail(err, "fail %d tasks", len(fs))
}

func (s *Store) failAll(ctx context.Context, arg failArgs) (done []int64, err error) {
	if s.citus {
		err = s.atomically(ctx, func(db DB) (err error) {
			done, err = s.failTasks(ctx, db, arg)
			return err
		})
		return done, err
	}
	return write(ctx, s, func(db DB) ([]int64, error) { return s.failTasks(ctx, db, arg) })
}

// failuresOf returns failures as the statement takes them.
func failuresOf(fs []Failure) (arg failArgs, held leases, err error) {
	tasks := make([]Task, len(fs))
	of := make(map[lease]Failure, len(fs))
	for i, f := range fs {
		if f.RetryIn < 0 {
			return arg, held, invalid("RetryIn %v of task %d is negative", f.RetryIn, f.Task.ID)
		}
		tasks[i] = f.Task
		of[lease{f.Task.ID, int64(f.Task.UpdatedAt)}] = f
	}
	held = leasesOf(tasks)
	arg.Ids, arg.Versions = held.ids, held.versions
	for i, id := range held.ids {
		f := of[lease{id, held.versions[i]}]
		arg.Reasons = append(arg.Reasons, cutReason(f.Reason))
		arg.RetryInMs = append(arg.RetryInMs, wholeMillis(f.RetryIn))
	}
	return arg, held, nil
}

// only returns what is for those of the tasks that are in ids.
func (a failArgs) only(ids []int64) (some failArgs) {
	slices.Sort(ids)
	for i, id := range a.Ids {
		if _, ok := slices.BinarySearch(ids, id); ok {
			some.Ids, some.Versions = append(some.Ids, id), append(some.Versions, a.Versions[i])
			some.Reasons, some.RetryInMs = append(some.Reasons, a.Reasons[i]), append(some.RetryInMs, a.RetryInMs[i])
		}
	}
	return some
}

type lease struct{ id, version int64 }

type failArgs struct {
	Ids, Versions []int64
	Reasons       []string
	RetryInMs     []int64
}

// wholeMillis returns d in milliseconds, rounded up.
func wholeMillis(d time.Duration) int64 {
	ms := d.Milliseconds()
	if d > time.Duration(ms)*time.Millisecond {
		ms++
	}
	return ms
}

// maxReason is how much of a reason is kept, in bytes.
const maxReason = 10_000

func cutReason(reason string) string {
	reason = reason[:min(len(reason), maxReason)]
	return strings.ReplaceAll(strings.ToValidUTF8(reason, ""), "\x00", "")
}

// Failures returns what is known of the failures of those of ids that have failed, by id. A reason remains until the
// task is deleted or cleaned up after it was completed; see [Store.FailWith].
func (s *Store) Failures(ctx context.Context, ids ...int64) (map[int64]LastFailure, error) {
	all := make(map[int64]LastFailure, len(ids))
	if len(ids) == 0 {
		return all, nil
	}
	rows, err := read(ctx, s, func(q *dbgen.Queries) ([]dbgen.TaskFailure, error) { return q.ListFailures(ctx, ids) })
	if err != nil {
		return nil, fail(err, "read the failures of %d tasks", len(ids))
	}
	for _, r := range rows {
		all[r.TaskID] = LastFailure{Count: int(r.Failures), Reason: r.Reason, At: r.FailedAt, RetryAt: r.RetryAt}
	}
	return all, nil
}

// RetryDue returns to pending up to limit failed tasks, limit at most 10,000, that f selects and whose time to try
// again has come, longest due first, and returns their ids. f is as for [Store.RequeueStale]. Any program may call it,
// and several at once; what is locked or refuses is passed by, as by RequeueStale. Due is by the database's clock:
// where that is set back, it takes so much longer. [Store.Retry] waits for no clock.
func (s *Store) RetryDue(ctx context.Context, f Filter, limit int) ([]int64, error) {
	if err := cmp.Or(checkBatch("limit", limit), f.checkQueue()); err != nil {
		return nil, fail(err, "retry due tasks")
	}
	ids, err := s.retryDue(ctx, f, limit)
	if err != nil {
		return nil, fail(err, "retry due tasks")
	}
	slices.Sort(ids)
	s.putBack(ids...)
	return ids, nil
}

func (s *Store) retryDue(ctx context.Context, f Filter, limit int) ([]int64, error) {
	if !s.citus {
		integrationID, clientID, templateID := f.owners()
		ids, err := write(ctx, s, func(db DB) ([]int64, error) {
			return dbgen.New(db).RetryDueTasks(ctx, integrationID, clientID, templateID, int32(limit))
		})
		if !s.goesAround(err) {
			return ids, err
		}
	}
	return s.retryListed(ctx, f, limit)
}
