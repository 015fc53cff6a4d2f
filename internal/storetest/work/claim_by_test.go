package work

import (
	"slices"
	"sync"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// owned creates n tasks of that integration, client and template.
func owned(t *testing.T, s *taskstore.Store, n int, integration, client, template int64) []int64 {
	t.Helper()
	ids, err := s.CreateMany(t.Context(), slices.Repeat([]taskstore.NewTask{
		{IntegrationID: integration, ClientID: client, TemplateID: template, Argument: "{}"},
	}, n))
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// A claim by an owner takes the oldest of that owner's pending tasks, and no others.
func TestClaimByTakesOnlyWhatTheFilterSelects(t *testing.T) {
	t.Parallel()
	s := storetest.Setup(t).Store
	one := owned(t, s, 2, 1, 1, 1)
	two := owned(t, s, 2, 2, 1, 1)
	three := owned(t, s, 2, 1, 1, 2)
	take := func(what string, f taskstore.Filter, n int, want ...int64) {
		t.Helper()
		ts, err := s.ClaimBy(t.Context(), f, n)
		if err != nil {
			t.Fatal(err)
		}
		storetest.WantIDs(t, what, storetest.IDs(ts), want...)
	}
	take("of template 2", taskstore.ByTemplate(2), 1, three[0])
	take("of integration 2", taskstore.ByIntegration(2), 10, two...)
	take("of integration 2, again", taskstore.ByIntegration(2), 10)
	take("of a batch", taskstore.ByBatch(taskstore.Batch{IntegrationID: 1, ClientID: 1, TemplateID: 2}), 10, three[1])
	take("of nobody", taskstore.ByTemplate(77), 10)
	take("of all", taskstore.Filter{}, 10, one...)
	for name, f := range map[string]taskstore.Filter{
		"user": taskstore.ByUser(1), "client": taskstore.ByClient(1), "account": taskstore.ByAccount(1),
		"status": taskstore.ByStatus(taskstore.Pending), "both": taskstore.ByTemplate(1).WithStatus(taskstore.Pending),
	} {
		if _, err := s.ClaimBy(t.Context(), f, 1); err == nil {
			t.Errorf("claimed by %s", name)
		} else {
			storetest.WantError(t, err, taskstore.ErrInvalid)
		}
	}
}

// Integrations have their turn one after the other, whatever backlog one of them has.
func TestClaimFairTakesInTurn(t *testing.T) {
	t.Parallel()
	s := storetest.Setup(t).Store
	owned(t, s, 1000, 1, 1, 1)
	for integration := range int64(9) {
		owned(t, s, 3, integration+2, 1, 1)
	}
	seen := map[int64]int{}
	claim := func(n, want int) {
		t.Helper()
		ts, err := s.ClaimFair(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		if len(ts) != want {
			t.Fatalf("claimed %d tasks, want %d", len(ts), want)
		}
		for _, task := range ts {
			seen[task.IntegrationID]++
		}
	}
	claim(4, 4)
	claim(4, 4)
	claim(2, 2)
	for integration := range int64(10) {
		if seen[integration+1] != 1 {
			t.Errorf("after one round integration %d had %d turns: %v", integration+1, seen[integration+1], seen)
		}
	}
	claim(20, 20)
	for integration := range int64(10) {
		if seen[integration+1] != 3 {
			t.Errorf("after three rounds integration %d had %d turns: %v", integration+1, seen[integration+1], seen)
		}
	}
	claim(500, 500) // what only one of them has
	claim(1000, 497)
	claim(1, 0)
	owned(t, s, 1, 77, 1, 1)
	claim(1, 1)
	if _, err := s.ClaimFair(t.Context(), 0); err == nil {
		t.Error("claimed 0 tasks")
	}
}

// However many claim in turn, no task is taken twice, and none is left.
func TestClaimsInTurnBesideEachOther(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	const integrations, each = 7, 60
	for i := range int64(integrations) {
		owned(t, b.Store, each, i, 1, 1)
	}
	var mu sync.Mutex
	var claimed []int64
	var wg sync.WaitGroup
	for range 4 {
		s := storetest.NewStore(b.Pool)
		wg.Go(func() {
			for {
				ts, err := s.ClaimFair(t.Context(), 13)
				if err != nil {
					t.Error(err)
				}
				if len(ts) == 0 {
					return
				}
				mu.Lock()
				claimed = append(claimed, storetest.IDs(ts)...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	slices.Sort(claimed)
	if n := len(claimed); n != integrations*each || len(slices.Compact(claimed)) != n {
		t.Errorf("claimed %d tasks, %d of them different, want %d", n, len(slices.Compact(claimed)), integrations*each)
	}
}
