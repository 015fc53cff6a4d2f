package taskstore

import (
	"context"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

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

// Shares says whose the backlog is.
type Shares struct {
	All                     Share   // its ID is 0
	Integrations, Templates []Share // those that have the most, largest first: at most 1,000 together
}

// Share is what all, one integration or one template has of the backlog.
type Share struct {
	ID         int64 `json:"id"` // of the integration or the template
	Pending    int64 `json:"pending"`
	Processing int64 `json:"processing"`
	Silent     int64 `json:"silent"` // of those in processing
	Failed     int64 `json:"failed"`
}

// MaxShares is how many tasks of each status [Store.BacklogShares] counts. If All has as many, there may be more.
const MaxShares = 100_000

// BacklogShares counts what is not completed by integration and by template: of each status up to [MaxShares] tasks,
// so that its cost is bounded. A task in processing is silent if its version is at least silentFor old by the
// database's clock: see [Store.RequeueStale].
func (s *Store) BacklogShares(ctx context.Context, silentFor time.Duration) (Shares, error) {
	rows, err := read(ctx, s, func(q *dbgen.Queries) ([]dbgen.ShareBacklogRow, error) {
		return q.ShareBacklog(ctx, wholeMillis(silentFor), MaxShares)
	})
	if err != nil {
		return Shares{}, fail(err, "count the backlog by integration and template")
	}
	all := Shares{Integrations: []Share{}, Templates: []Share{}}
	for _, r := range rows {
		share := Share{r.ID, r.Pending, r.Processing, r.Silent, r.Failed}
		switch r.Others { // the columns that do not count, as bits: see the query
		case 3:
			all.All = share
		case 1:
			all.Integrations = append(all.Integrations, share)
		case 2:
			all.Templates = append(all.Templates, share)
		}
	}
	return all, nil
}

// Reason is why tasks have failed.
type Reason struct {
	FirstLine string `json:"first_line"` // of the reason, at most 200 characters
	Tasks     int64  `json:"tasks"`
	LastAt    Millis `json:"last_at"` // the latest of these failures
}

// MaxReasons is how many failures [Store.FailureReasons] looks at.
const MaxReasons = 10_000

// FailureReasons says why tasks have failed that are failed now, the most frequent reason first, at most 100. It looks
// at what [Store.FailWith] has recorded of the newest [MaxReasons] tasks that have ever failed and were not cleaned up.
func (s *Store) FailureReasons(ctx context.Context) ([]Reason, error) {
	rows, err := read(ctx, s, func(q *dbgen.Queries) ([]dbgen.CountFailureReasonsRow, error) {
		return q.CountFailureReasons(ctx, MaxReasons)
	})
	if err != nil {
		return nil, fail(err, "count the failures by reason")
	}
	reasons := make([]Reason, len(rows))
	for i, r := range rows {
		reasons[i] = Reason{r.FirstLine, r.Tasks, Millis(r.LastAt)}
	}
	return reasons, nil
}
