package behaviour

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Few values a column, so that every filter selects some rows and leaves some out; 9 occurs nowhere.
var filterValues = []int64{1, 2, 3, 9}

// A selection is a Filter and a plain function that selects the same tasks.
type selection struct {
	name   string
	filter taskstore.Filter
	holds  func(taskstore.Task) bool
}

func selections() []selection {
	all := []selection{{"anything", taskstore.Filter{}, func(taskstore.Task) bool { return true }}}
	for _, v := range filterValues {
		all = append(all,
			selection{fmt.Sprint("integration ", v), taskstore.ByIntegration(v),
				func(t taskstore.Task) bool { return t.IntegrationID == v }},
			selection{fmt.Sprint("user ", v), taskstore.ByUser(v), func(t taskstore.Task) bool { return t.UserID == v }},
			selection{fmt.Sprint("client ", v), taskstore.ByClient(v), func(t taskstore.Task) bool { return t.ClientID == v }},
			selection{fmt.Sprint("account ", v), taskstore.ByAccount(v),
				func(t taskstore.Task) bool { return t.AccountID == v }},
			selection{fmt.Sprint("template ", v), taskstore.ByTemplate(v),
				func(t taskstore.Task) bool { return t.TemplateID == v }},
		)
		for _, w := range filterValues {
			b := taskstore.Batch{IntegrationID: v, ClientID: w, TemplateID: v%3 + 1}
			all = append(all, selection{fmt.Sprint("batch ", b), taskstore.ByBatch(b), func(t taskstore.Task) bool {
				return t.IntegrationID == b.IntegrationID && t.ClientID == b.ClientID && t.TemplateID == b.TemplateID
			}})
		}
	}
	for _, s := range slices.Clone(all) {
		for st := taskstore.Pending; st <= taskstore.Failed; st++ {
			all = append(all, selection{
				s.name + ", " + st.String(), s.filter.WithStatus(st),
				func(t taskstore.Task) bool { return s.holds(t) && t.Status == st },
			})
		}
	}
	for st := taskstore.Pending; st <= taskstore.Failed; st++ {
		holds := func(t taskstore.Task) bool { return t.Status == st }
		all = append(all,
			selection{"by status " + st.String(), taskstore.ByStatus(st), holds},
			selection{"in place of another, " + st.String(), taskstore.ByStatus((st + 1) % 4).WithStatus(st), holds})
	}
	return all
}

// Each kind of filter, with and without a status, selects what it says. List page by page, List from a random id on,
// All and Count are compared with a model over random rows.
func TestFiltersAgainstAModel(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	random := rand.New(rand.NewPCG(7, 11))
	value := func() int64 { return filterValues[random.IntN(3)] }
	rows := make([][]any, 700)
	for i := range rows {
		rows[i] = []any{value(), value(), value(), value(), value(), "{}", int32(random.IntN(4))}
	}
	columns := []string{"integration_id", "user_id", "client_id", "account_id", "template_id", "argument", "status"}
	if _, err := b.Pool.CopyFrom(t.Context(), pgx.Identifier{"tasks"}, columns, pgx.CopyFromRows(rows)); err != nil {
		t.Fatal(err)
	}
	b.Exec(t, `DELETE FROM tasks WHERE id % 7 = 3`) // ids have gaps
	newestFirst := storetest.Stored(t, b.Pool)
	slices.Reverse(newestFirst)

	for _, s := range selections() {
		want := slices.DeleteFunc(slices.Clone(newestFirst), func(t taskstore.Task) bool { return !s.holds(t) })

		if n, err := b.Store.Count(t.Context(), s.filter); err != nil || n != int64(len(want)) {
			t.Errorf("%s: counted %d, %v, want %d", s.name, n, err, len(want))
		}
		if got := collect(t, b.Store, s.filter); !slices.Equal(got, want) {
			t.Errorf("%s: All yields %d tasks that are not the %d of the model", s.name, len(got), len(want))
		}
		limit := 1 + len(want)/(1+random.IntN(4))
		if got := pages(t, b.Store, s.filter, limit); !slices.Equal(got, want) {
			t.Errorf("%s: pages of %d have %d tasks that are not the %d of the model", s.name, limit, len(got), len(want))
		}
		before := 1 + random.Int64N(int64(len(rows)))
		from, _ := slices.BinarySearchFunc(want, before,
			func(t taskstore.Task, before int64) int { return int(before - 1 - t.ID) })
		got, err := b.Store.List(t.Context(), s.filter, taskstore.Page{Before: before, Limit: limit})
		if want := want[from:min(len(want), from+limit)]; err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: before %d ids %v, %v, want %v", s.name, before, storetest.IDs(got), err, storetest.IDs(want))
		}
	}
}

// pages reads every page of that many tasks, as List's documentation says.
func pages(t *testing.T, s *taskstore.Store, f taskstore.Filter, limit int) []taskstore.Task {
	t.Helper()
	var all []taskstore.Task
	var before int64
	for {
		page, err := s.List(t.Context(), f, taskstore.Page{Before: before, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
		before = page[len(page)-1].ID
	}
}
