package race

import (
	"fmt"
	"slices"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// version is a task at a version.
type version struct {
	task int64
	at   taskstore.Millis
}

// histories returns the history of each task, and the problems that show in the calls and the audit without the model.
func (r *race) histories(changes []audited) (map[int64]timeline, []string) {
	var problems []string
	tasks := map[int64]timeline{}
	calls, clients := map[int64]*call{}, map[int64]int{}
	told := map[version]bool{}        // claims
	replaced := map[version]audited{} // what became of each version
	for _, c := range changes {
		if c.newVersion != c.oldVersion {
			replaced[version{c.task, c.oldVersion}] = c
		}
	}
	for _, a := range r.actors {
		for number, c := range a.log {
			calls[number], clients[number] = c, a.client
			for task, steps := range c.steps {
				h := tasks[task]
				for _, s := range steps {
					h.add(a.client, s, c.called, c.returned)
					if s.kind == stepClaim {
						told[version{task, s.got}] = true
					}
					by := replaced[version{task, s.version}]
					if s.kind == stepEnd && s.outcome == tookPlace &&
						(by.oldStatus != taskstore.Processing || by.newStatus != s.to) {
						problems = append(problems, fmt.Sprintf("task %d was ended on version %d, which the table does not show: %+v",
							task, s.version, by))
					}
				}
				tasks[task] = h
			}
		}
	}
	for _, change := range changes {
		c := calls[change.call]
		problem, h := "", tasks[change.task]
		silent := change.newVersion - change.oldVersion
		switch {
		case change.program != "store", c != nil && c.kind == callRun: // see runner.histories
		case change.isClaim() && (c == nil || c.kind != stepClaim && c.kind != callExchange):
			problem = "was claimed by no claim"
		case c == nil:
		case change.isClaim() && !told[version{change.task, change.newVersion}]:
			if !c.broken && !c.partial {
				problem = "was claimed for nobody"
			}
			h.add(clients[change.call], step{kind: stepClaim, got: change.newVersion, outcome: tookPlace}, c.called, never)
		case (c.kind == stepRequeue || c.kind == callRetryDue) && c.steps[change.task] == nil:
			if !c.broken && !c.partial {
				problem = "was put back and not named"
			}
			kind := stepRequeue
			if c.kind == callRetryDue {
				kind = stepRetry
			}
			h.add(clients[change.call], step{kind: kind, outcome: tookPlace}, c.called, never)
		case c.kind == stepRequeue && silent < taskstore.Millis(c.silentFor.Milliseconds()):
			problem = fmt.Sprintf("was requeued as silent for %v", c.silentFor)
		}
		tasks[change.task] = h
		if problem != "" {
			problems = append(problems, fmt.Sprintf("task %d %s: %+v", change.task, problem, change))
		}
	}
	for _, w := range r.runners {
		problems = append(problems, w.histories(changes, tasks)...)
	}
	return tasks, append(problems, r.wrongFailures(changes, calls)...)
}

// wrongFailures returns what is wrong with the failures that are stored. Each end with a reason that took place counts
// as one, the last one's reason is kept, and a task is retried as due only if that one, or one before it, said when.
func (r *race) wrongFailures(changes []audited, calls map[int64]*call) (problems []string) {
	want := map[int64]taskstore.LastFailure{}
	due := map[int64]bool{}
	for _, change := range changes {
		c := calls[change.call]
		if change.program != "store" || c == nil {
			continue
		}
		retryIn, reasoned := c.retryIn[change.task]
		if c.kind == callRun {
			retryIn, reasoned = runRetry, true
		}
		switch {
		case reasoned && change.newStatus == taskstore.Failed:
			why := want[change.task]
			want[change.task] = taskstore.LastFailure{Count: why.Count + 1, Reason: c.reason()}
			due[change.task] = retryIn > 0
		case change.oldStatus == taskstore.Failed && change.newStatus == taskstore.Pending:
			if c.kind != stepRetry && !due[change.task] {
				problems = append(problems, fmt.Sprintf("task %d was retried and not due: %+v", change.task, change))
			}
			due[change.task] = false
		}
	}
	stored, err := taskstore.New(r.b.Admin).Failures(r.t.Context(), r.tasks...)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, task := range r.tasks {
		got, due := stored[task], due[task] || stored[task].RetryAt == 0
		got.At, got.RetryAt = 0, 0
		if got != want[task] || !due {
			problems = append(problems, fmt.Sprintf("task %d has the failures %+v, want %+v", task, stored[task], want[task]))
		}
	}
	return problems
}

// problems returns all that is wrong with the race. It is called when all actors have stopped.
func (r *race) problems() []string {
	r.t.Helper()
	if storetest.OnCitus() {
		r.gatherAudit()
	}
	end := r.now()
	changes := readAudit(r.t, r.b)
	tasks, problems := r.histories(changes)
	problems = append(problems, brokenRules(r.t, r.b)...)
	for _, row := range storetest.Stored(r.t, r.b.Pool) {
		h := tasks[row.ID]
		h.add(len(r.actors), step{kind: stepRead, to: row.Status, got: row.UpdatedAt, outcome: tookPlace}, end, end)
		if !h.explained(r.t) {
			of := slices.DeleteFunc(slices.Clone(changes), func(c audited) bool { return c.task != row.ID })
			problems = append(problems, fmt.Sprintf("no order of its calls explains task %d:\n%v\nThe table saw:\n%+v",
				row.ID, h, of))
		}
	}
	return problems
}
