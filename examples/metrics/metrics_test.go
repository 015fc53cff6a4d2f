package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskstoretest"
	"github.com/tasklane/tasks/taskwork"
)

// The templates of tasks. Those of the last one are for another service.
const (
	mail      = 1
	report    = 2
	unnamed   = 3
	elsewhere = 4
)

// What Prometheus knows is what happened and what the table holds, and each query of the dashboard finds it.
func TestPrometheusShowsWhatHappens(t *testing.T) {
	t.Parallel()
	db := taskstoretest.New(t)
	page, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := taskwork.Config{
		From: []taskstore.Filter{
			taskstore.ByTemplate(mail), taskstore.ByTemplate(report), taskstore.ByTemplate(unnamed),
		},
		SilentFor: time.Hour, // so that nothing that is silent is requeued
		Retry:     func(int, error) (time.Duration, bool) { return time.Millisecond, true },
	}
	served := make(chan error, 1)
	go func() { served <- serve(t.Context(), db.Pool, page, cfg, handler(t.Context(), db.Pool)) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	prom := startPrometheus(t, page.Addr().String())
	// Nothing happens before Prometheus has seen the counters at zero, so that each rate has an increase to show.
	prom.becomes(t, `taskwork_tasks_total{event="completed"}`, 0)

	create(t, db, 20, mail, "succeed")
	create(t, db, 3, report, "give up")
	create(t, db, 2, report, "fail once")
	create(t, db, 1, unnamed, "lose the lease once")
	create(t, db, 1, unnamed, "go on")
	create(t, db, 4, elsewhere, "")
	if _, err := db.Pool.Exec(t.Context(), `
		INSERT INTO tasks (template_id, integration_id, user_id, client_id, account_id, argument, status,
			created_at, updated_at)
		SELECT 1, 1, 1, 1, 1, '', 1, ms, ms
		FROM (SELECT (extract(epoch FROM now()) * 1000)::bigint - 7200000 AS ms) AS two_hours_ago`); err != nil {
		t.Fatal(err)
	}

	prom.becomes(t, `taskwork_tasks_total{event="completed"}`, 20+2+1)
	prom.becomes(t, `taskwork_tasks_total{event="failed"}`, 3+2)
	prom.becomes(t, `taskwork_tasks_total{event="retried"}`, 2)
	prom.becomes(t, `taskwork_tasks_total{event="lost"}`, 1)
	prom.becomes(t, `taskwork_handler_duration_seconds_count{template="mail", outcome="completed"}`, 20)
	prom.becomes(t, `taskwork_handler_duration_seconds_count{template="report", outcome="failed"}`, 2)
	prom.becomes(t, `taskwork_handler_duration_seconds_count{template="report", outcome="given_up"}`, 3)
	prom.becomes(t, `taskwork_handler_duration_seconds_count{template="other", outcome="completed"}`, 1)
	prom.becomes(t, `taskwork_handlers_running`, 1)

	// From here on the table does not change.
	prom.becomes(t, `taskwork_tasks_total{event="completed"}`, stored(t, db, taskstore.Completed))
	prom.becomes(t, `tasks_backlog{status="pending"}`, stored(t, db, taskstore.Pending))
	prom.becomes(t, `tasks_backlog{status="processing"}`, stored(t, db, taskstore.Processing))
	prom.becomes(t, `tasks_backlog{status="failed"}`, stored(t, db, taskstore.Failed))
	prom.becomes(t, `tasks_silent`, 1)
	prom.becomes(t, `tasks_oldest_pending_age_seconds > bool 0`, 1)

	for _, panel := range dashboard(t).Panels {
		if len(panel.Targets) == 0 {
			t.Errorf("panel %s has no query", panel.Title)
		}
		for _, target := range panel.Targets {
			prom.shows(t, target.Expr)
		}
	}
}

// handler does what a task's argument says.
func handler(end context.Context, pool *pgxpool.Pool) taskwork.Handler {
	var seen sync.Map
	return func(ctx context.Context, task taskstore.Task) error {
		_, again := seen.LoadOrStore(task.ID, true)
		switch {
		case task.Argument == "go on":
			<-end.Done()
		case task.Argument == "give up":
			return taskwork.Permanent(errors.New("no try can succeed"))
		case task.Argument == "fail once" && !again:
			return errors.New("this try did not succeed")
		case task.Argument == "lose the lease once" && !again:
			_, err := pool.Exec(ctx, "UPDATE tasks SET status = 0 WHERE id = $1", task.ID)
			return err
		}
		return nil
	}
}

func create(t *testing.T, db *taskstoretest.DB, n int, template int64, argument string) {
	t.Helper()
	tasks := make([]taskstore.NewTask, n)
	for i := range tasks {
		tasks[i] = taskstore.NewTask{TemplateID: template, Argument: argument}
	}
	if _, err := db.Store.CreateMany(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
}

// stored returns how many tasks have that status.
func stored(t *testing.T, db *taskstoretest.DB, status taskstore.Status) (n float64) {
	t.Helper()
	row := db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM tasks WHERE status = $1", int32(status))
	if err := row.Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

type panels struct {
	Panels []struct {
		Title   string
		Targets []struct{ Expr string }
	}
}

// dashboard returns the dashboard's panels, with its variables replaced as Grafana would.
func dashboard(t *testing.T) (d panels) {
	t.Helper()
	text, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.NewReplacer("$__rate_interval", "1h", "$job", job).Replace(string(text))
	if err := json.Unmarshal([]byte(filled), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 10 {
		t.Fatalf("found %d panels", len(d.Panels))
	}
	return d
}

// The worker's own metrics arrive when the database does not answer.
func TestScrapeWithoutDatabase(t *testing.T) {
	t.Parallel()
	db := taskstoretest.New(t)
	registry := prometheus.NewRegistry()
	w := newWork(registry, templates)
	registry.MustRegister(backlog{store: db.Store, pool: db.Pool, silentFor: time.Minute})
	w.observe(taskwork.Event{Kind: taskwork.Away, Err: errors.New("cut off")})
	db.Pool.Close()
	want := `
		# HELP taskwork_database_away 1 while the database does not answer the worker.
		# TYPE taskwork_database_away gauge
		taskwork_database_away 1
		# HELP taskwork_outages_total How often the database went away.
		# TYPE taskwork_outages_total counter
		taskwork_outages_total 1
		# HELP tasks_backlog_up 1 if the database answered this scrape. If it is 0, nothing else is known of the backlog.
		# TYPE tasks_backlog_up gauge
		tasks_backlog_up 0
		`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "taskwork_database_away",
		"taskwork_outages_total", "tasks_backlog_up", "tasks_backlog", "tasks_silent"); err != nil {
		t.Error(err)
	}
	w.observe(taskwork.Event{Kind: taskwork.Back})
	if away := testutil.ToFloat64(w.away); away != 0 {
		t.Errorf("taskwork_database_away is %v when the database is back", away)
	}
}
