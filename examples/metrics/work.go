package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// work is what one process knows of its own work. Add it up over all processes.
//
// Each value of a label is a series that Prometheus keeps, for each process. So labels have only values that the
// service's code knows: kinds of events, outcomes, and its templates by name. An integration, a user or a task's id is
// no label: their number grows with the customers, and the table answers questions about them.
type work struct {
	templates map[int64]string

	tasks   *prometheus.CounterVec   // event
	handler *prometheus.HistogramVec // template, outcome
	running prometheus.Gauge
	claim   prometheus.Histogram
	outages prometheus.Counter
	away    prometheus.Gauge
}

// What a handler's call led to.
const (
	completed = "completed"
	failed    = "failed"   // and is tried again
	gaveUp    = "given_up" // it failed, and is not tried again: somebody has to look
)

// newWork registers the metrics of a worker that handles these templates. All others are counted as "other".
func newWork(registry prometheus.Registerer, templates map[int64]string) *work {
	metrics := promauto.With(registry)
	seconds := prometheus.ExponentialBuckets(0.001, 3, 12) // from 1 ms to 3 minutes
	w := &work{
		templates: templates,
		tasks: metrics.NewCounterVec(prometheus.CounterOpts{
			Name: "taskwork_tasks_total",
			Help: "Tasks by what happened to them.",
		}, []string{"event"}),
		handler: metrics.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "taskwork_handler_duration_seconds",
			Help:    "How long handlers took, by the task's template and what became of the task.",
			Buckets: seconds,
		}, []string{"template", "outcome"}),
		running: metrics.NewGauge(prometheus.GaugeOpts{
			Name: "taskwork_handlers_running",
			Help: "Handlers that are at work now.",
		}),
		claim: metrics.NewHistogram(prometheus.HistogramOpts{
			Name:    "taskwork_claim_duration_seconds",
			Help:    "How long the database took for a claim, which takes the ends of other tasks along.",
			Buckets: seconds,
		}),
		outages: metrics.NewCounter(prometheus.CounterOpts{
			Name: "taskwork_outages_total",
			Help: "How often the database went away.",
		}),
		away: metrics.NewGauge(prometheus.GaugeOpts{
			Name: "taskwork_database_away",
			Help: "1 while the database does not answer the worker.",
		}),
	}
	// A series that begins with its first event has no increase at that event. So all begin now, at zero.
	for _, kind := range []taskwork.Kind{
		taskwork.Claimed, taskwork.Started, taskwork.Completed, taskwork.Failed, taskwork.Released,
		taskwork.Lost, taskwork.Delayed, taskwork.Retried, taskwork.Requeued,
	} {
		w.tasks.WithLabelValues(string(kind))
	}
	for _, outcome := range []string{completed, failed, gaveUp} {
		w.handler.WithLabelValues("other", outcome)
		for _, template := range templates {
			w.handler.WithLabelValues(template, outcome)
		}
	}
	return w
}

// observe is for Config.Observe. It is quick: everything here is an addition in memory.
func (w *work) observe(e taskwork.Event) {
	switch e.Kind {
	case taskwork.Away:
		w.outages.Inc()
		w.away.Inc()
		return
	case taskwork.Back:
		w.away.Dec()
		return
	case taskwork.Claimed:
		w.claim.Observe(e.Took.Seconds())
	case taskwork.Completed:
		w.took(e, completed)
	case taskwork.Failed:
		if e.RetryIn > 0 {
			w.took(e, failed)
		} else {
			w.took(e, gaveUp)
		}
	default:
	}
	w.tasks.WithLabelValues(string(e.Kind)).Add(float64(e.N))
}

func (w *work) took(e taskwork.Event, outcome string) {
	template, known := w.templates[e.Task.TemplateID]
	if !known {
		template = "other"
	}
	w.handler.WithLabelValues(template, outcome).Observe(e.Took.Seconds())
}

// counted returns h with its calls counted while they run. Events cannot tell that: a task's end is told when it is
// recorded, which is after the handler has returned.
func (w *work) counted(h taskwork.Handler) taskwork.Handler {
	return func(ctx context.Context, t taskstore.Task) error {
		w.running.Inc()
		defer w.running.Dec()
		return h(ctx, t)
	}
}
