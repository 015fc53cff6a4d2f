package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tasklane/tasks/taskstore"
)

// backlog reads the table whenever Prometheus scrapes. Each process tells the same of the one table: take the maximum
// over them, never the sum.
type backlog struct {
	store     *taskstore.Store
	pool      *pgxpool.Pool
	silentFor time.Duration
}

// scrapeTimeout is shorter than Prometheus's own, ten seconds, so that the other metrics still arrive when the
// database does not answer.
const scrapeTimeout = 5 * time.Second

var (
	up = prometheus.NewDesc("tasks_backlog_up",
		"1 if the database answered this scrape. If it is 0, nothing else is known of the backlog.", nil, nil)
	tasks = prometheus.NewDesc("tasks_backlog",
		"Tasks that are not completed, by status.", []string{"status"}, nil)
	oldest = prometheus.NewDesc("tasks_oldest_pending_age_seconds",
		"How long ago the pending task that is next was created; 0 if none is pending.", nil, nil)
	silent = prometheus.NewDesc("tasks_silent",
		"Tasks in processing that nobody has renewed for the length of a lease.", nil, nil)
)

// Describe is for [prometheus.Collector].
func (backlog) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{up, tasks, oldest, silent} {
		descs <- d
	}
}

// Collect is for [prometheus.Collector]. After an error it says only that: an error given to Prometheus's library would
// make the whole scrape fail, and the worker's metrics with it, just when they are needed.
func (b backlog) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	waiting, err := b.store.Backlog(ctx)
	var now taskstore.Millis // by the server's clock, which has written the table's times, too
	var quiet int64
	if err == nil {
		err = b.pool.QueryRow(ctx, `
			SELECT clock.ms, (SELECT count(*) FROM tasks WHERE status = 1 AND updated_at < clock.ms - $1::bigint)
			FROM (SELECT (extract(epoch FROM now()) * 1000)::bigint AS ms) AS clock`,
			b.silentFor.Milliseconds()).Scan(&now, &quiet)
	}
	if err != nil {
		gauge(up, 0)
		return
	}
	var age taskstore.Millis
	if waiting.OldestPending > 0 {
		age = max(0, now-waiting.OldestPending)
	}
	gauge(up, 1)
	gauge(tasks, float64(waiting.Pending), "pending")
	gauge(tasks, float64(waiting.Processing), "processing")
	gauge(tasks, float64(waiting.Failed), "failed")
	gauge(oldest, float64(age)/1000)
	gauge(silent, float64(quiet))
}
