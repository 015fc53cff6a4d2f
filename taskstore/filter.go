package taskstore

import (
	"context"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tasklane/tasks/dbgen"
)

// Filter selects tasks for [Store.List], [Store.All] and [Store.Count]; some kinds do for claims, too: see
// [Store.ClaimBy]. Each kind is served by an index of its own. The zero Filter selects every task.
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

// checkQueue refuses what cannot be claimed or requeued by.
func (f Filter) checkQueue() error {
	switch {
	case f.hasStatus:
		return invalid("a filter with a status does not name a queue")
	case f.by != anything && f.by != integration && f.by != template && f.by != batch:
		return invalid("a queue is named by ByTemplate, ByIntegration or ByBatch")
	}
	return nil
}

// owners returns the columns by which a queue's tasks are known.
func (f Filter) owners() (integrationID, clientID, templateID pgtype.Int8) {
	id := func(v int64) pgtype.Int8 { return pgtype.Int8{Int64: v, Valid: true} }
	switch f.by {
	case integration:
		return id(f.id), clientID, templateID
	case template:
		return integrationID, clientID, id(f.id)
	case batch:
		return id(f.batch.IntegrationID), id(f.batch.ClientID), id(f.batch.TemplateID)
	default:
		return integrationID, clientID, templateID
	}
}

// takes reports whether a queue has tasks like t.
func (f Filter) takes(t NewTask) bool {
	switch f.by {
	case integration:
		return t.IntegrationID == f.id
	case template:
		return t.TemplateID == f.id
	case batch:
		return Batch{t.IntegrationID, t.ClientID, t.TemplateID} == f.batch
	default:
		return true
	}
}

// skewed reports whether the plan of f's query depends on its values, which may select anything from a
// handful to most of the table.
func (f Filter) skewed() bool {
	return f.by != anything || f.hasStatus && f.status != Pending
}

// list and count are the one place where a Filter becomes a query. There is one query an index, since a generic plan
// of a query with nullable parameters can use none: on a million rows one read 21,740 pages where ours reads 23.
// Pending tasks have queries of their own where a partial index serves them: the planner must see the literal.

// list returns the newest limit tasks that f selects among the ids up to last.
func (f Filter) list(ctx context.Context, q *dbgen.Queries, last int64, limit int32) ([]Task, error) {
	id, b, st := f.id, f.batch, int32(f.status)
	if !f.hasStatus {
		switch f.by {
		case integration:
			return q.ListTasksByIntegration(ctx, id, last, limit)
		case user:
			return q.ListTasksByUser(ctx, id, last, limit)
		case client:
			return q.ListTasksByClient(ctx, id, last, limit)
		case account:
			return q.ListTasksByAccount(ctx, id, last, limit)
		case template:
			return q.ListTasksByTemplate(ctx, id, last, limit)
		case batch:
			return q.ListTasksByBatch(ctx, dbgen.ListTasksByBatchParams{
				IntegrationID: b.IntegrationID, ClientID: b.ClientID, TemplateID: b.TemplateID,
				Last: last, MaxRows: limit,
			})
		default:
			return q.ListTasks(ctx, last, limit)
		}
	}
	switch f.by {
	case integration:
		return q.ListTasksByIntegrationWithStatus(ctx, id, st, last, limit)
	case user:
		return q.ListTasksByUserWithStatus(ctx, id, st, last, limit)
	case client:
		return q.ListTasksByClientWithStatus(ctx, id, st, last, limit)
	case account:
		return q.ListTasksByAccountWithStatus(ctx, id, st, last, limit)
	case template:
		return q.ListTasksByTemplateWithStatus(ctx, id, st, last, limit)
	case batch:
		if f.status == Pending {
			return q.ListPendingByBatch(ctx, dbgen.ListPendingByBatchParams{
				IntegrationID: b.IntegrationID, ClientID: b.ClientID, TemplateID: b.TemplateID,
				Last: last, MaxRows: limit,
			})
		}
		return q.ListTasksByBatchWithStatus(ctx, dbgen.ListTasksByBatchWithStatusParams{
			IntegrationID: b.IntegrationID, ClientID: b.ClientID, TemplateID: b.TemplateID,
			Status: st, Last: last, MaxRows: limit,
		})
	default:
		if f.status == Pending {
			return q.ListPending(ctx, last, limit)
		}
		return q.ListTasksWithStatus(ctx, st, last, limit)
	}
}

// count returns how many tasks f selects.
func (f Filter) count(ctx context.Context, q *dbgen.Queries) (int64, error) {
	id, b, st := f.id, f.batch, int32(f.status)
	if !f.hasStatus {
		switch f.by {
		case integration:
			return q.CountTasksByIntegration(ctx, id)
		case user:
			return q.CountTasksByUser(ctx, id)
		case client:
			return q.CountTasksByClient(ctx, id)
		case account:
			return q.CountTasksByAccount(ctx, id)
		case template:
			return q.CountTasksByTemplate(ctx, id)
		case batch:
			return q.CountTasksByBatch(ctx, b.IntegrationID, b.ClientID, b.TemplateID)
		default:
			return q.CountTasks(ctx)
		}
	}
	switch f.by {
	case integration:
		return q.CountTasksByIntegrationWithStatus(ctx, id, st)
	case user:
		return q.CountTasksByUserWithStatus(ctx, id, st)
	case client:
		return q.CountTasksByClientWithStatus(ctx, id, st)
	case account:
		return q.CountTasksByAccountWithStatus(ctx, id, st)
	case template:
		return q.CountTasksByTemplateWithStatus(ctx, id, st)
	case batch:
		if f.status == Pending {
			return q.CountPendingByBatch(ctx, b.IntegrationID, b.ClientID, b.TemplateID)
		}
		return q.CountTasksByBatchWithStatus(ctx, b.IntegrationID, b.ClientID, b.TemplateID, st)
	default:
		return q.CountTasksWithStatus(ctx, st)
	}
}
