package taskstore

import (
	"context"

	"github.com/tasklane/tasks/dbgen"
)

// Changes of tasks whose ids were listed before: on Citus, where a statement passes by locked rows on one shard only,
// and elsewhere after a statement that failed for one of its tasks.

// changeListed changes those of ids that change can be done to, shard by shard, until it has changed limit of them, and
// returns what change returned. Tasks that refuse are passed over. Some may be changed beside an error.
func changeListed[T any](
	ctx context.Context, s *Store, op string, ids []int64, limit int, change func(ids []int64) ([]T, error),
) ([]T, error) {
	groups, err := s.byShard(ctx, ids)
	var all []T
	for _, group := range groups {
		for err == nil && len(group) > 0 && len(all) < limit {
			n := min(len(group), limit-len(all))
			var done []T
			done, err = inParts(ctx, s, op, group[:n], change)
			all, group = append(all, done...), group[n:]
		}
	}
	return all, err
}

// claimListed claims those of ids that are pending.
func (s *Store) claimListed(ctx context.Context, ids []int64) ([]Task, error) {
	return changeListed(ctx, s, "claim", ids, len(ids), func(ids []int64) ([]Task, error) {
		return s.claimBy(ctx, len(ids), func(q *dbgen.Queries) ([]Task, error) {
			return q.ClaimPendingIDs(ctx, step(), ids)
		})
	})
}

// requeueListed is RequeueTasks. It lists more tasks than it needs, since some may be locked, or refuse.
func (s *Store) requeueListed(ctx context.Context, arg dbgen.RequeueTasksParams) ([]int64, error) {
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) {
		return q.ListSilent(ctx, dbgen.ListSilentParams{
			SilentForMs: arg.SilentForMs, Ids: arg.Ids, Versions: arg.Versions,
			IntegrationID: arg.IntegrationID, ClientID: arg.ClientID, TemplateID: arg.TemplateID,
			Avoid: s.poison.ids(), MaxRows: maxBatch,
		})
	})
	if err != nil {
		return nil, err
	}
	done, err := changeListed(ctx, s, "requeue", ids, int(arg.MaxRows), func(ids []int64) ([]int64, error) {
		return write(ctx, s, func(db DB) ([]int64, error) {
			return dbgen.New(db).RequeueIDs(ctx, ids, arg.SilentForMs, arg.Ids, arg.Versions)
		})
	})
	return doneBefore(ctx, s, err, done)
}

// retryListed is RetryDueTasks, and lists more tasks than it needs, too.
func (s *Store) retryListed(ctx context.Context, f Filter, limit int) ([]int64, error) {
	arg := dbgen.ListDueParams{Avoid: s.poison.ids(), MaxRows: maxBatch}
	arg.IntegrationID, arg.ClientID, arg.TemplateID = f.owners()
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) { return q.ListDue(ctx, arg) })
	if err != nil {
		return nil, err
	}
	done, err := changeListed(ctx, s, "retry", ids, limit, func(ids []int64) ([]int64, error) {
		return write(ctx, s, func(db DB) ([]int64, error) { return dbgen.New(db).RetryDueIDs(ctx, ids) })
	})
	return doneBefore(ctx, s, err, done)
}
