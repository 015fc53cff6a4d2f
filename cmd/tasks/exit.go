package main

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/connect"
	"github.com/tasklane/tasks/taskstore"
)

// exitCode is how the process ends. Scripts rely on it. The codes mean what they mean for taskmigrate.
type exitCode int

const (
	exitDone     exitCode = 0
	exitFailed   exitCode = 1
	exitUsage    exitCode = 2
	exitLockWait exitCode = 5
)

var exitMeanings = []string{
	exitDone:     "done",
	exitFailed:   "failed, or a task that was named is not there, not in the right status, or was changed meanwhile",
	exitUsage:    "usage",
	exitLockWait: "gave up waiting for a lock; what was done before stays done, safe to run again",
}

// failure is why a command did not do what it was to do.
type failure struct {
	Message  string `json:"message"`
	SQLState string `json:"sqlstate"` // the server's code; empty: the server said nothing
	Hint     string `json:"hint"`

	code exitCode
}

func (f *failure) Error() string { return f.Message }

// usageFailure is a mistake in the command line, found by us or by cobra.
func usageFailure(err error) *failure {
	f := &failure{Message: err.Error(), code: exitUsage}
	if usage, ok := errors.AsType[*cli.UsageError](err); ok {
		f.Hint = usage.Hint
	}
	return f
}

// asFailure gives err, which is not nil, the shape in which it is reported.
func asFailure(ctx context.Context, err error) *failure {
	if own, ok := errors.AsType[*failure](err); ok {
		return own
	}
	if _, ok := errors.AsType[*cli.UsageError](err); ok {
		return usageFailure(err)
	}
	if bad, ok := errors.AsType[*connect.Malformed](err); ok {
		return &failure{Message: bad.Message, Hint: bad.Hint, code: exitUsage}
	}
	said := connect.Describe(err)
	f := &failure{
		Message:  strings.TrimPrefix(connect.OneLine(err.Error()), "taskstore: "),
		SQLState: said.SQLState, Hint: said.Hint, code: exitFailed,
	}
	switch {
	case ctx.Err() != nil:
		f.Message, f.Hint = "interrupted: "+context.Cause(ctx).Error(), ""
		if errors.Is(err, taskstore.ErrUncertain) {
			f.Hint = taskstore.ErrUncertain.Error()
		}
	case errors.Is(err, taskstore.ErrInvalid):
		f.code = exitUsage
	case f.SQLState == "55P03":
		f.code, f.Hint = exitLockWait, "--lock-timeout waits longer"
	case f.SQLState == "57014":
		f.Hint = "--statement-timeout gives it more time"
	}
	return f
}

// connectFailure says where nobody could be reached.
func connectFailure(ctx context.Context, config *pgx.ConnConfig, err error) *failure {
	if ctx.Err() != nil {
		return asFailure(ctx, err)
	}
	said := connect.DescribeAttempt(config, err)
	f := &failure{Message: said.Message, SQLState: said.SQLState, Hint: said.Hint, code: exitFailed}
	if strings.Contains(f.Message, "unsupported startup parameter") {
		f.Hint = "PgBouncer takes no limits from a client: --statement-timeout 0 --lock-timeout 0"
	}
	return f
}
