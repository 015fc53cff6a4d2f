package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// outcome is where things stand once a run has ended, as far as the server still answers. It adds to a
// failure what was done and what is left.
func (r *run) outcome(ctx context.Context, before []Migration, err error) ([]Migration, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	list, _, statusErr := r.withoutWait().Status(ctx)
	if statusErr != nil {
		list = before
	}
	reached := StateApplied
	if r.down {
		reached = StatePending
	}
	for version, took := range r.took {
		i := slices.IndexFunc(list, func(m Migration) bool { return m.Version == version })
		ms := took.Milliseconds()
		list[i].State, list[i].DurationMS = reached, &ms
	}
	if failure, ok := errors.AsType[*Error](err); ok {
		failure.Message += r.summary(list)
		failure.Resumable = failure.Kind != Conflict && failure.Kind != Unmanaged
	}
	return list, err
}

// summary tells what a failed run did and what it leaves to do.
func (r *run) summary(list []Migration) string {
	did, left, open := "applied", "still to apply", StatePending
	if r.down {
		did, left, open = "rolled back", "still applied", StateApplied
	}
	var done, rest []string
	for _, m := range list {
		switch {
		case m.DurationMS != nil:
			done = append(done, fmt.Sprint(m.Version))
		case m.State == open && m.Version > r.to == r.down:
			rest = append(rest, fmt.Sprint(m.Version))
		}
	}
	return fmt.Sprintf("; %s by this run: %s; %s: %s", did, orNone(done), left, orNone(rest))
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, ", ")
}
