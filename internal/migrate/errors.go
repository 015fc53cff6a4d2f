package migrate

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// ExitCode is taskmigrate's exit code for an outcome.
type ExitCode int

// The exit codes that scripts rely on.
const (
	ExitDone     ExitCode = 0
	ExitFailed   ExitCode = 1
	ExitUsage    ExitCode = 2
	ExitPending  ExitCode = 3 // status --check found pending migrations
	ExitDrift    ExitCode = 4 // verify found drift, or adopt refused
	ExitLockWait ExitCode = 5 // gave up waiting for a lock; nothing is half-done
	ExitHalfDone ExitCode = 6 // stopped within a migration that cannot be transactional; safe to run again
	ExitHistory  ExitCode = 7 // the database's history conflicts with this binary
)

// Error is a failure as taskmigrate reports it. It unwraps to its cause.
type Error struct {
	Code      ExitCode
	Message   string
	File      string // the migration, if one failed
	Statement int    // its statement, counted from 1; 0: none
	Hint      string
	Err       error
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

// SQLState is the server's code for the cause, empty where the server said nothing.
func (e *Error) SQLState() string {
	if server, ok := errors.AsType[*pgconn.PgError](e.Err); ok {
		return server.Code
	}
	return ""
}

// asError gives err the shape in which it is reported.
func asError(ctx context.Context, err error) *Error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	if ctx.Err() != nil {
		return &Error{Code: ExitFailed, Message: "interrupted: " + context.Cause(ctx).Error(), Err: err}
	}
	failure := &Error{Code: ExitFailed, Message: oneLine(err.Error()), Err: err}
	if lost(err) {
		failure.Message = "the connection to the server was lost: " + oneLine(rootCause(err).Error())
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		failure.Message = fmt.Sprintf("%s (SQLSTATE %s)", oneLine(server.Message), server.Code)
		failure.Hint = oneLine(strings.TrimSpace(server.Detail + " " + server.Hint))
	}
	return failure
}

// lost tells whether err comes of a broken connection.
func lost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func usagef(format string, args ...any) *Error {
	return &Error{Code: ExitUsage, Message: fmt.Sprintf(format, args...)}
}
