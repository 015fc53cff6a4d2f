package race

import (
	"fmt"
	"slices"
	"time"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// histories returns the history of each task, and the problems that show in the calls and the audit without the model.
func (r *race) histories(changes []audited) (map[int64]timeline, []string) {
	var problems []string
	tasks := map[int64]timeline{}
	calls := map[int64]*call{}
	clients := map[int64]int{}
	told := map[[2]int64]bool{}        // claims, by task and version
	replaced := map[[2]int64]audited{} // what became of each version
	for _, c := range changes {
		if c.newVersion != c.oldVersion {
			replaced[[2]int64{c.task, int64(c.oldVersion)}] = c
		}
	}
	for _, a := range r.actors {
		for number, c := range a.log {
			calls[number], clients[number] = c, a.client
			for task, s := range c.steps {
				h := tasks[task]
				h.add(a.client, s, c.called, c.returned)
				tasks[task] = h
				if s.kind == stepClaim {
					told[[2]int64{task, int64(s.got)}] = true
				}
				by := replaced[[2]int64{task, int64(s.version)}]
				if s.kind == stepEnd && s.outcome == tookPlace && (by.oldStatus != taskstore.Processing || by.newStatus != s.to) {
					problems = append(problems, fmt.Sprintf("task %d was ended on version %d, which the table does not show: %+v",
						task, s.version, by))
				}
			}
		}
	}
	for _, change := range changes {
		c := calls[change.call]
		problem, h := "", tasks[change.task]
		switch {
		case change.program != "store":
		case change.oldStatus == taskstore.Pending && change.newStatus == taskstore.Processing &&
			(c == nil || c.kind != stepClaim):
			problem = "was claimed by no claim"
		case c == nil:
		case c.kind == stepClaim && !told[[2]int64{change.task, int64(change.newVersion)}]:
			if !c.broken && !c.fewer {
				problem = "was claimed for nobody"
			}
			h.add(clients[change.call], step{kind: stepClaim, got: change.newVersion, outcome: tookPlace}, c.called, never)
		case c.kind == stepRequeue && c.steps[change.task].kind == "":
			if !c.broken {
				problem = "was requeued and not named"
			}
			h.add(clients[change.call], step{kind: stepRequeue, outcome: tookPlace}, c.called, never)
		case c.kind == stepRequeue && change.newVersion-change.oldVersion < taskstore.Millis(c.silentFor.Milliseconds()):
			problem = fmt.Sprintf("was requeued as silent for %v", c.silentFor)
		}
		tasks[change.task] = h
		if problem != "" {
			problems = append(problems, fmt.Sprintf("task %d %s: %+v", change.task, problem, change))
		}
	}
	return tasks, problems
}

// problems returns all that is wrong with the race. It is called when all actors have stopped.
func (r *race) problems() []string {
	r.t.Helper()
	end := time.Since(r.began).Nanoseconds()
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
