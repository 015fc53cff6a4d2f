package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/tasklane/tasks/internal/connect"
)

// Kind says what sort of failure an Error is.
type Kind int

// The kinds of failures.
const (
	Failed     Kind = iota // none of the others: no connection, an error of the server, an interrupt, …
	BadRequest             // what the caller asks for cannot be done; nothing was tried
	LosesData              // Down would lose rows and was not told that it may; nothing was done
	Unmanaged              // Up found a table tasks that no migration created; nothing was done
	Drift                  // the table is not as it should be
	RunBusy                // another run did not finish in time; nothing was done
	LockWait               // a lock was not granted in time; nothing is half-done
	HalfDone               // stopped within a migration that cannot be transactional; it can be repeated
	Conflict               // the database's history conflicts with this binary
)

// Error is a failure as taskmigrate reports it. It unwraps to its cause.
type Error struct {
	Kind      Kind   `json:"-"`
	Message   string `json:"message"`
	SQLState  string `json:"sqlstate"`  // the server's code; empty: the server said nothing
	File      string `json:"file"`      // the migration, if one failed
	Statement int    `json:"statement"` // its statement, counted from 1; 0: none
	Hint      string `json:"hint"`
	Resumable bool   `json:"-"` // the run stopped on its way: the same call goes on from there
	Err       error  `json:"-"`
}

// Error is one line: what failed, where and why.
func (e *Error) Error() string {
	switch {
	case e.File != "" && e.Statement > 0:
		return fmt.Sprintf("%s, statement %d: %s", e.File, e.Statement, e.Message)
	case e.File != "":
		return e.File + ": " + e.Message
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

func requestError(format string, args ...any) *Error {
	return &Error{Kind: BadRequest, Message: fmt.Sprintf(format, args...)}
}

// asError gives err, which is not nil, the shape in which it is reported.
func asError(ctx context.Context, err error) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	failure := described(connect.Describe(err), err)
	if ctx.Err() != nil {
		failure.Message, failure.Hint = "interrupted: "+context.Cause(ctx).Error(), ""
	}
	return failure
}

func described(f connect.Failure, err error) *Error {
	return &Error{Message: f.Message, SQLState: f.SQLState, Hint: f.Hint, Err: err}
}
