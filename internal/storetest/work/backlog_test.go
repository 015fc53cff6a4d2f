package work

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestBacklog(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	want := func(want taskstore.Backlog) {
		t.Helper()
		if got, err := b.Store.Backlog(t.Context()); got != want || err != nil {
			t.Errorf("backlog %+v, %v; want %+v", got, err, want)
		}
	}
	want(taskstore.Backlog{})
	at := taskstore.MillisOf(storetest.LongAgo)
	for i, st := range []taskstore.Status{
		taskstore.Failed, taskstore.Failed, taskstore.Failed, taskstore.Processing, taskstore.Processing, taskstore.Completed,
	} {
		b.Row(t, st, at+taskstore.Millis(i), at+taskstore.Millis(i))
	}
	want(taskstore.Backlog{Processing: 2, Failed: 3})
	b.Row(t, taskstore.Pending, at+100, at+200)
	b.Row(t, taskstore.Pending, at+50, at+60) // claimed later, though created earlier
	want(taskstore.Backlog{Pending: 2, Processing: 2, Failed: 3, OldestPending: at + 100})
	storetest.Claim(t, b.Store, 1)
	want(taskstore.Backlog{Pending: 1, Processing: 3, Failed: 3, OldestPending: at + 50})

	tx := b.Begin(t, pgx.ReadCommitted)
	storetest.Claim(t, b.Store.WithTx(tx), 1)
	want(taskstore.Backlog{Pending: 1, Processing: 3, Failed: 3, OldestPending: at + 50})
	inside, err := b.Store.WithTx(tx).Backlog(t.Context())
	if inside != (taskstore.Backlog{Processing: 4, Failed: 3}) || err != nil {
		t.Errorf("inside the transaction: %+v, %v", inside, err)
	}
}

func TestBacklogSharesTellWhoseTheBacklogIs(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	shares, err := b.Store.BacklogShares(t.Context(), time.Minute)
	if err != nil || shares.All != (taskstore.Share{}) || len(shares.Integrations)+len(shares.Templates) > 0 {
		t.Errorf("of an empty table: %+v, %v", shares, err)
	}
	now := b.Now(t)
	put := func(n int, integration, template int64, st taskstore.Status, at taskstore.Millis) {
		b.Exec(t, `
			INSERT INTO tasks
				(integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at)
			SELECT $2, 1, 1, 1, $3, '', $4, $5, $5 FROM generate_series(1, $1::integer)`,
			n, integration, template, int32(st), int64(at))
	}
	put(5, 1, 10, taskstore.Pending, now)
	put(2, 1, 20, taskstore.Processing, now+3_600_000)
	put(3, 1, 20, taskstore.Processing, now-600_000)
	put(4, 2, 20, taskstore.Failed, now)
	put(100, 2, 30, taskstore.Completed, now)
	want := taskstore.Shares{
		All:          taskstore.Share{Pending: 5, Processing: 5, Silent: 3, Failed: 4},
		Integrations: []taskstore.Share{{ID: 1, Pending: 5, Processing: 5, Silent: 3}, {ID: 2, Failed: 4}},
		Templates:    []taskstore.Share{{ID: 20, Processing: 5, Silent: 3, Failed: 4}, {ID: 10, Pending: 5}},
	}
	shares, err = b.Store.BacklogShares(t.Context(), 5*time.Minute)
	if err != nil || shares.All != want.All || !slices.Equal(shares.Integrations, want.Integrations) ||
		!slices.Equal(shares.Templates, want.Templates) {
		t.Errorf("got %+v, %v, want %+v", shares, err, want)
	}
}

func TestFailureReasonsAreOfTasksThatAreFailed(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 6)
	ts := storetest.Claim(t, b.Store, 6)
	long := strings.Repeat("ä", 300)
	reasons := []string{"timeout\nin line 7", "timeout\nin line 8", "no such account", "timeout", long}
	for i, reason := range reasons {
		if err := b.Store.FailWith(t.Context(), taskstore.Failure{Task: ts[i], Reason: reason}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Store.Fail(t.Context(), ts[5]); err != nil { // without a reason
		t.Fatal(err)
	}
	if _, err := b.Store.Retry(t.Context(), ts[3].ID); err != nil {
		t.Fatal(err)
	}
	got, err := b.Store.FailureReasons(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	of := map[string]int64{}
	for _, r := range got {
		of[r.FirstLine] = r.Tasks
	}
	if len(got) != 3 || got[0].FirstLine != "timeout" || of["timeout"] != 2 || of["no such account"] != 1 ||
		of[strings.Repeat("ä", 200)] != 1 {
		t.Errorf("got %+v", got)
	}
	if last := failures(t, b.Store, ts[1].ID).At; got[0].LastAt != last {
		t.Errorf("the last timeout was at %d, want %d", got[0].LastAt, last)
	}
}
