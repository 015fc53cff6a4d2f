package behaviour

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A table that was not migrated may hold NULL in its times, and somebody's argument may be a varchar. Lists
// read both as Get does, whichever way the values travel, and say so where there is no number at all.
func TestListsOfAnUnmigratedTable(t *testing.T) {
	t.Parallel()
	storetest.NotOnCitus(t, "it takes one ALTER TABLE a step")
	for name, mode := range map[string]pgx.QueryExecMode{
		"binary": pgx.QueryExecModeCacheStatement, "text": pgx.QueryExecModeSimpleProtocol,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.CreateMany(t, 3)
			b.Exec(t, `
				ALTER TABLE tasks DISABLE TRIGGER USER,
					ALTER status DROP NOT NULL, ALTER created_at DROP NOT NULL, ALTER updated_at DROP NOT NULL,
					ALTER account_id DROP NOT NULL`)
			b.Exec(t, `UPDATE tasks SET status = NULL, created_at = NULL, updated_at = NULL WHERE id = 2`)
			s := storetest.NewStore(b.Connect(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode }))

			check := func() {
				t.Helper()
				var want []taskstore.Task
				for _, id := range []int64{3, 2, 1} {
					task, err := s.Get(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, task)
				}
				if want[1].Status != 0 || want[1].CreatedAt != 0 || want[1].UpdatedAt != 0 {
					t.Errorf("read %+v, want no status and no times", want[1])
				}
				got, err := s.List(t.Context(), taskstore.Filter{}, taskstore.Page{})
				if err != nil || !slices.Equal(got, want) {
					t.Errorf("listed %+v, %v; want %+v", got, err, want)
				}
			}
			check()
			b.Exec(t, `ALTER TABLE tasks ALTER argument TYPE varchar(100)`)
			b.Exec(t, `ALTER TABLE tasks ALTER account_id TYPE integer`)
			s = storetest.NewStore(b.Connect(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode }))
			check()

			b.Exec(t, `UPDATE tasks SET account_id = NULL WHERE id = 1`)
			if got, err := s.List(t.Context(), taskstore.Filter{}, taskstore.Page{}); err == nil ||
				!strings.Contains(err.Error(), "NULL") {
				t.Errorf("listed %+v, %v; want an error that names NULL", got, err)
			}
		})
	}
}

// A filter's statement is planned for its values each time; others are prepared once.
func TestFiltersArePlannedForTheirValues(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 3)
	pool := b.Connect(t, func(c *pgxpool.Config) { c.MaxConns = 1 })
	s := storetest.NewStore(pool)
	list := func(s *taskstore.Store, f taskstore.Filter) {
		t.Helper()
		if _, err := s.List(t.Context(), f, taskstore.Page{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Count(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	batch := taskstore.Batch{IntegrationID: 1, ClientID: 2, TemplateID: 3}
	filters := []taskstore.Filter{
		taskstore.ByUser(2), taskstore.ByBatch(batch), taskstore.ByStatus(taskstore.Completed),
		taskstore.ByBatch(batch).WithStatus(taskstore.Pending),
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range filters {
		list(s.WithTx(tx), f)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range filters {
		list(s, f)
	}
	list(s, taskstore.Filter{})
	rows, err := pool.Query(t.Context(),
		`SELECT statement FROM pg_prepared_statements WHERE statement NOT LIKE '%pg_prepared%'`, pgx.QueryExecModeExec)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for i, sql := range prepared {
		prepared[i], _, _ = strings.Cut(strings.TrimPrefix(sql, "-- name: "), " ")
	}
	slices.Sort(prepared)
	if want := []string{"CountTasks", "ListTasks"}; !slices.Equal(prepared, want) {
		t.Errorf("prepared %q, want %q", prepared, want)
	}
}

// A task costs at most as many allocations as code written by hand with pgx. A row costs one, its Argument.
func TestAllocations(t *testing.T) { //nolint:paralleltest // counts those of the whole process
	b := storetest.Setup(t)
	b.CreateMany(t, 100)
	pool := b.Connect(t, func(*pgxpool.Config) {}) // pgx's own defaults
	store := storetest.NewStore(pool)
	scan := func(row pgx.Row) (task taskstore.Task, err error) {
		err = row.Scan(&task.ID, &task.IntegrationID, &task.UserID, &task.ClientID, &task.AccountID, &task.TemplateID,
			&task.Argument, &task.Status, &task.CreatedAt, &task.UpdatedAt)
		return task, err
	}
	allocs := func(f func() error) float64 {
		t.Helper()
		return testing.AllocsPerRun(20, func() {
			if err := f(); err != nil {
				t.Fatal(err)
			}
		})
	}
	list := allocs(func() error {
		_, err := store.List(t.Context(), taskstore.Filter{}, taskstore.Page{})
		return err
	})
	listByHand := allocs(func() error {
		rows, err := pool.Query(t.Context(), "SELECT * FROM tasks ORDER BY id DESC LIMIT $1", 100)
		if err != nil {
			return err
		}
		tasks := make([]taskstore.Task, 0, 100)
		for rows.Next() {
			task, err := scan(rows)
			if err != nil {
				return err
			}
			tasks = append(tasks, task)
		}
		if len(tasks) != 100 {
			t.Errorf("listed %d tasks by hand", len(tasks))
		}
		return rows.Err()
	})
	if list > listByHand/2 {
		t.Errorf("a list of 100 allocates %v times, by hand %v times", list, listByHand)
	}
	get := allocs(func() error {
		_, err := store.Get(t.Context(), 1)
		return err
	})
	getByHand := allocs(func() error {
		_, err := scan(pool.QueryRow(t.Context(), "SELECT * FROM tasks WHERE id = $1", int64(1)))
		return err
	})
	if get > getByHand {
		t.Errorf("a get allocates %v times, by hand %v times", get, getByHand)
	}
}
