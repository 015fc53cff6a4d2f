package taskstore

import (
	"context"

	"github.com/tasklane/tasks/dbgen"
)

// Filter selects tasks for [Store.List], [Store.All] and [Store.Count]. Each kind is served by an
// index of its own. The zero Filter selects every task.
type Filter struct {
	by        column
	id        int64 // the value of a single column
	batch     Batch
	status    Status
	hasStatus bool
}

// column is what a Filter selects by, besides the status.
type column int

const (
	anything column = iota
	integration
	user
	client
	account
	template
	batch
)

// ByIntegration selects the tasks of an integration.
func ByIntegration(id int64) Filter { return Filter{by: integration, id: id} }

// ByUser selects the tasks of a user.
func ByUser(id int64) Filter { return Filter{by: user, id: id} }

// ByClient selects the tasks of a client.
func ByClient(id int64) Filter { return Filter{by: client, id: id} }

// ByAccount selects the tasks of an account.
func ByAccount(id int64) Filter { return Filter{by: account, id: id} }

// ByTemplate selects the tasks made from a template.
func ByTemplate(id int64) Filter { return Filter{by: template, id: id} }

// ByStatus selects the tasks of a status.
func ByStatus(st Status) Filter { return Filter{}.WithStatus(st) }

// ByBatch selects the tasks of a batch.
func ByBatch(b Batch) Filter { return Filter{by: batch, batch: b} }

// WithStatus narrows f to the tasks of a status, in place of a status that f had. A status that is
// none makes the method that takes f return ErrInvalid.
func (f Filter) WithStatus(st Status) Filter {
	f.status, f.hasStatus = st, true
	return f
}

func (f Filter) check() error {
	if !f.hasStatus {
		return nil
	}
	return checkStatus(f.status)
}

// skewed reports whether the plan of f's query depends on its values, which may select anything from a
// handful to most of the table.
func (f Filter) skewed() bool {
	return f.by != anything || f.hasStatus && f.status != Pending
}

// byColumn holds the queries of the filters by a single column.
var byColumn = map[column]struct {
	list            func(q *dbgen.Queries, ctx context.Context, id, last int64, limit int32) ([]Task, error)
	listWithStatus  func(q *dbgen.Queries, ctx context.Context, id int64, st int32, last int64, limit int32) ([]Task, error)
	count           func(q *dbgen.Queries, ctx context.Context, id int64) (int64, error)
	countWithStatus func(q *dbgen.Queries, ctx context.Context, id int64, st int32) (int64, error)
}{
	integration: {
		(*dbgen.Queries).ListTasksByIntegration, (*dbgen.Queries).ListTasksByIntegrationWithStatus,
		(*dbgen.Queries).CountTasksByIntegration, (*dbgen.Queries).CountTasksByIntegrationWithStatus,
	},
	user: {
		(*dbgen.Queries).ListTasksByUser, (*dbgen.Queries).ListTasksByUserWithStatus,
		(*dbgen.Queries).CountTasksByUser, (*dbgen.Queries).CountTasksByUserWithStatus,
	},
	client: {
		(*dbgen.Queries).ListTasksByClient, (*dbgen.Queries).ListTasksByClientWithStatus,
		(*dbgen.Queries).CountTasksByClient, (*dbgen.Queries).CountTasksByClientWithStatus,
	},
	account: {
		(*dbgen.Queries).ListTasksByAccount, (*dbgen.Queries).ListTasksByAccountWithStatus,
		(*dbgen.Queries).CountTasksByAccount, (*dbgen.Queries).CountTasksByAccountWithStatus,
	},
	template: {
		(*dbgen.Queries).ListTasksByTemplate, (*dbgen.Queries).ListTasksByTemplateWithStatus,
		(*dbgen.Queries).CountTasksByTemplate, (*dbgen.Queries).CountTasksByTemplateWithStatus,
	},
}

// list and count are the one place where a Filter becomes a query. Pending tasks have queries of
// their own where a partial index serves them: the planner must see the literal.

// list returns the newest limit tasks that f selects among the ids up to last.
func (f Filter) list(ctx context.Context, q *dbgen.Queries, last int64, limit int32) ([]Task, error) {
	st := int32(f.status)
	switch {
	case f.by == batch && !f.hasStatus:
		return q.ListTasksByBatch(ctx, dbgen.ListTasksByBatchParams{
			IntegrationID: f.batch.IntegrationID, ClientID: f.batch.ClientID, TemplateID: f.batch.TemplateID,
			Last: last, MaxRows: limit,
		})
	case f.by == batch && f.status == Pending:
		return q.ListPendingByBatch(ctx, dbgen.ListPendingByBatchParams{
			IntegrationID: f.batch.IntegrationID, ClientID: f.batch.ClientID, TemplateID: f.batch.TemplateID,
			Last: last, MaxRows: limit,
		})
	case f.by == batch:
		return q.ListTasksByBatchWithStatus(ctx, dbgen.ListTasksByBatchWithStatusParams{
			IntegrationID: f.batch.IntegrationID, ClientID: f.batch.ClientID, TemplateID: f.batch.TemplateID,
			Status: st, Last: last, MaxRows: limit,
		})
	case f.by != anything && f.hasStatus:
		return byColumn[f.by].listWithStatus(q, ctx, f.id, st, last, limit)
	case f.by != anything:
		return byColumn[f.by].list(q, ctx, f.id, last, limit)
	case !f.hasStatus:
		return q.ListTasks(ctx, last, limit)
	case f.status == Pending:
		return q.ListPending(ctx, last, limit)
	default:
		return q.ListTasksWithStatus(ctx, st, last, limit)
	}
}

// count returns how many tasks f selects.
func (f Filter) count(ctx context.Context, q *dbgen.Queries) (int64, error) {
	st := int32(f.status)
	switch {
	case f.by == batch && !f.hasStatus:
		return q.CountTasksByBatch(ctx, f.batch.IntegrationID, f.batch.ClientID, f.batch.TemplateID)
	case f.by == batch && f.status == Pending:
		return q.CountPendingByBatch(ctx, f.batch.IntegrationID, f.batch.ClientID, f.batch.TemplateID)
	case f.by == batch:
		return q.CountTasksByBatchWithStatus(ctx, f.batch.IntegrationID, f.batch.ClientID, f.batch.TemplateID, st)
	case f.by != anything && f.hasStatus:
		return byColumn[f.by].countWithStatus(q, ctx, f.id, st)
	case f.by != anything:
		return byColumn[f.by].count(q, ctx, f.id)
	case !f.hasStatus:
		return q.CountTasks(ctx)
	default:
		return q.CountTasksWithStatus(ctx, st)
	}
}
