package behaviour

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestGet(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, st := range []taskstore.Status{taskstore.Pending, taskstore.Processing, taskstore.Completed, taskstore.Failed} {
		want := b.In(t, st)
		got, err := b.Store.Get(t.Context(), want.ID)
		if err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if got := storetest.StoredTask(t, b.Pool, want.ID); got != want || got.Status != st {
			t.Errorf("stored %+v, want %+v", got, want)
		}
	}
	for _, id := range []int64{0, -1, 1_000_000, math.MaxInt64, math.MinInt64} {
		got, err := b.Store.Get(t.Context(), id)
		storetest.WantError(t, err, taskstore.ErrNotFound, pgx.ErrNoRows)
		if got != (taskstore.Task{}) {
			t.Errorf("got %+v beside the error", got)
		}
	}
}

func TestListLimits(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	newest := b.CreateMany(t, 1100)
	slices.Reverse(newest)
	for limit, want := range map[int]int{0: 100, 1: 1, 2: 2, 100: 100, 999: 999, 1000: 1000} {
		got, err := b.Store.List(t.Context(), taskstore.Filter{}, taskstore.Page{Limit: limit})
		if err != nil || !slices.Equal(storetest.IDs(got), newest[:want]) {
			t.Errorf("limit %d: %d tasks, error %v, want the newest %d", limit, len(got), err, want)
		}
	}
	for _, limit := range []int{-1, 1001, math.MaxInt32 + 1, math.MaxInt, math.MinInt} {
		got, err := b.Store.List(t.Context(), taskstore.Filter{}, taskstore.Page{Limit: limit})
		storetest.WantError(t, err, taskstore.ErrInvalid)
		if got != nil {
			t.Errorf("limit %d: %d tasks beside the error", limit, len(got))
		}
	}
	tasks, err := b.Store.List(t.Context(), taskstore.ByUser(-1), taskstore.Page{})
	if err != nil || tasks == nil || len(tasks) != 0 {
		t.Errorf("got %v, %v, want an empty slice, which is [] as JSON", tasks, err)
	}
}

// Rows at the limits of int64, and those that no sequence makes.
func TestListAtTheLimitsOfIDs(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	all := []int64{math.MaxInt64, math.MaxInt64 - 1, 2, 1, 0, -1, math.MinInt64 + 1, math.MinInt64}
	for _, id := range all {
		b.Exec(t, `
			INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
			VALUES ($1, 1, 1, 1, 1, 1, '')`, id)
	}
	for before, want := range map[int64][]int64{
		0:                 all,
		math.MaxInt64:     all[1:],
		math.MaxInt64 - 1: all[2:],
		3:                 all[2:],
		2:                 all[3:],
		1:                 all[4:],
		-1:                all[6:],
		math.MinInt64 + 2: all[6:],
		math.MinInt64 + 1: all[7:],
		math.MinInt64:     {},
	} {
		got, err := b.Store.List(t.Context(), taskstore.Filter{}, taskstore.Page{Before: before})
		if err != nil || got == nil || !slices.Equal(storetest.IDs(got), want) {
			t.Errorf("before %d: ids %v, error %v, want %v", before, storetest.IDs(got), err, want)
		}
	}
	if got := collect(t, b.Store, taskstore.Filter{}); !slices.Equal(storetest.IDs(got), all) {
		t.Errorf("All: ids %v, want %v", storetest.IDs(got), all)
	}
	for _, id := range all {
		task, err := b.Store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if task, err = b.Store.Update(t.Context(), task); err != nil || task.ID != id {
			t.Errorf("update of %d: %+v, %v", id, task, err)
		}
		if err := b.Store.Delete(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

// A thousand rows end a page of All; the lowest id of all must not make it go round again.
func TestAllWithAFullLastPage(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Exec(t, `
		INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
		SELECT $1::bigint + n, 1, 1, 1, 1, 1, '' FROM generate_series(0, 1999) AS n`, int64(math.MinInt64))
	var got []int64
	for task, err := range b.Store.All(t.Context(), taskstore.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, task.ID); len(got) > 2000 {
			break
		}
	}
	if len(got) != 2000 || got[0] != math.MinInt64+1999 || got[1999] != math.MinInt64 {
		t.Errorf("%d ids, want the 2000 stored ones", len(got))
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	counts, err := b.Store.CountByStatus(t.Context())
	if err != nil || counts == nil || len(counts) != 0 {
		t.Errorf("an empty table has %v, %v", counts, err)
	}
	for st, n := range []int{3, 0, 2, 1} {
		for range n {
			b.In(t, taskstore.Status(st))
		}
	}
	counts, err = b.Store.CountByStatus(t.Context())
	want := map[taskstore.Status]int64{taskstore.Pending: 3, taskstore.Completed: 2, taskstore.Failed: 1}
	if err != nil || !maps.Equal(counts, want) {
		t.Errorf("counted %v, %v, want %v", counts, err, want)
	}
	n, err := b.Store.Count(t.Context(), taskstore.Filter{})
	if err != nil || n != 6 {
		t.Errorf("counted %d, %v, want 6", n, err)
	}
}

func TestAFilterOfNoStatusIsRefused(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.Create(t, 1)
	for _, st := range []taskstore.Status{-1, 4, math.MaxInt32, math.MinInt32} {
		for _, f := range []taskstore.Filter{
			taskstore.ByStatus(st),
			taskstore.ByUser(12).WithStatus(st),
			taskstore.ByBatch(taskstore.Batch{IntegrationID: 11, ClientID: 13, TemplateID: 15}).WithStatus(st),
		} {
			tasks, err := b.Store.List(t.Context(), f, taskstore.Page{})
			storetest.WantError(t, err, taskstore.ErrInvalid)
			n, err := b.Store.Count(t.Context(), f)
			storetest.WantError(t, err, taskstore.ErrInvalid)
			yields := 0
			for task, err := range b.Store.All(t.Context(), f) {
				yields++
				storetest.WantError(t, err, taskstore.ErrInvalid)
				if task != (taskstore.Task{}) {
					t.Errorf("All yields %+v beside the error", task)
				}
			}
			if len(tasks) != 0 || n != 0 || yields != 1 {
				t.Errorf("status %d: %d tasks, count %d, %d yields", st, len(tasks), n, yields)
			}
		}
	}
}

// collect returns what All yields.
func collect(t *testing.T, s *taskstore.Store, f taskstore.Filter) []taskstore.Task {
	t.Helper()
	tasks := []taskstore.Task{}
	for task, err := range s.All(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, task)
	}
	return tasks
}
