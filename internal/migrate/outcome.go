package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// outcome is where things stand once a run has ended, as far as the server still answers. It adds to a
// failure what was done, what is left, and how to go on.
func (r *run) outcome(ctx context.Context, before []Migration, results []*goose.MigrationResult, err error) ([]Migration, error) {
	list := before
	readCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	at := *r.Migrator
	at.opts.Wait = 0
	if history, err := at.history(readCtx); err == nil {
		list = states(r.known, history)
	}
	reached := StateApplied
	if r.down {
		reached = StatePending
	}
	for _, result := range results {
		i := slices.IndexFunc(list, func(m Migration) bool { return m.Version == result.Source.Version })
		list[i].State, list[i].Duration = reached, max(result.Duration, 1)
	}
	if failure, ok := errors.AsType[*Error](err); ok {
		r.explain(failure, list)
	}
	return list, err
}

func (r *run) explain(failure *Error, list []Migration) {
	did, left, open := "applied", "still to apply", StatePending
	if r.down {
		did, left, open = "rolled back", "still applied", StateApplied
	}
	var done, rest []string
	for _, m := range list {
		switch {
		case m.Duration > 0:
			done = append(done, fmt.Sprint(m.Version))
		case m.State == open && m.Version > r.to == r.down:
			rest = append(rest, fmt.Sprint(m.Version))
		}
	}
	failure.Message += fmt.Sprintf("; %s by this run: %s; %s: %s", did, orNone(done), left, orNone(rest))
	advice := map[ExitCode]string{
		ExitLockWait: "nothing is half-done; go on with `" + r.command() + "`",
		ExitHalfDone: "that migration cannot be transactional; it is safe to go on with `" + r.command() + "`",
	}[failure.Code]
	if advice == "" && failure.Hint == "" {
		advice = "go on with `" + r.command() + "`"
	}
	if failure.Hint != "" && advice != "" {
		advice = strings.TrimSuffix(failure.Hint, ".") + "; " + advice
	}
	failure.Hint = cmp.Or(advice, failure.Hint)
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}

// command is the command line that does what this run was to do.
func (r *run) command() string {
	switch {
	case r.down:
		return fmt.Sprintf("taskmigrate down --to %d", r.to)
	case r.to <= r.newest():
		return fmt.Sprintf("taskmigrate up --to %d", r.to)
	}
	return "taskmigrate up"
}
