package taskwork

import (
	"log/slog"
	"time"

	"github.com/tasklane/tasks/taskstore"
)

// Kind says what an [Event] tells. Its text is a word in lower case, fit for a metric's label.
type Kind string

// The kinds of events. Of each task that is claimed there is one Started, and one of Completed, Failed, Released and
// Lost, but for those that are left when Run returns an error. A task that is claimed just when ctx ends is Released
// without being Started.
const (
	Claimed   Kind = "claimed"   // N tasks came, in a call that took Took. N may be 0
	Started   Kind = "started"   // the handler of Task
	Completed Kind = "completed" // Task, whose handler took Took
	Failed    Kind = "failed"    // Task, whose handler took Took and failed by Err. RetryIn is 0 if it is not tried again
	Released  Kind = "released"  // Task, since Run stops
	Lost      Kind = "lost"      // Task's lease, which somebody has taken away; or its end was refused for good, by Err
	Delayed   Kind = "delayed"   // Task's end, or that of one sent with it, cannot be recorded yet, by Err: a locked row
	Retried   Kind = "retried"   // N failed tasks were due, of whatever worker
	Requeued  Kind = "requeued"  // N tasks of silent workers
	Away      Kind = "away"      // the database does not answer, or does so by Err; Run goes on trying
	Back      Kind = "back"      // it answers again, after Took
)

// Event is something worth knowing of a [Run].
type Event struct {
	Kind    Kind
	Task    taskstore.Task // of one task. Its UpdatedAt is the version of the claim, or a later one
	N       int            // how many tasks: 1 if it is about one
	Took    time.Duration
	Err     error
	RetryIn time.Duration

	// Unsure is set where a task's end was sent, its answer was lost or is late, and the lease is gone: the task was
	// ended, or else it was requeued and is handled again.
	Unsure bool
}

// levels are those at which events are logged.
var levels = map[Kind]slog.Level{
	Failed: slog.LevelWarn, Lost: slog.LevelWarn, Delayed: slog.LevelWarn, Away: slog.LevelWarn,
	Claimed: slog.LevelDebug, Started: slog.LevelDebug, Completed: slog.LevelDebug, Released: slog.LevelDebug,
	Retried: slog.LevelInfo, Requeued: slog.LevelInfo, Back: slog.LevelInfo,
}

// tell tells an event to whoever wants to know. What is logged never has an argument.
func (o *owner) tell(e Event) {
	if e.Task.ID != 0 {
		e.N = 1
	}
	if e.N == 0 && (e.Kind == Retried || e.Kind == Requeued) {
		return
	}
	if o.cfg.Observe != nil {
		o.cfg.Observe(e)
	}
	level := levels[e.Kind]
	if !o.cfg.Log.Enabled(o.calls, level) {
		return
	}
	attrs := []any{"tasks", e.N, "took", e.Took}
	if e.Task.ID != 0 {
		attrs = append(attrs, "task", e.Task.ID, "template", e.Task.TemplateID, "retry_in", e.RetryIn, "unsure", e.Unsure)
	}
	if e.Err != nil {
		attrs = append(attrs, "error", e.Err)
	}
	o.cfg.Log.Log(o.calls, level, "taskwork: "+string(e.Kind), attrs...)
}
