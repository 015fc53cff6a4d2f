package taskstore

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What a caller can act on. Test with errors.Is. Every error says the operation, the task and the
// reason, and also unwraps to its cause, so that errors.As still finds a *pgconn.PgError.
var (
	// ErrNotFound: there is no such task, or there is none any more.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the row is no longer as the caller last saw it: its version or status moved, or the
	// lease was lost. Nothing was written. Read it again and decide anew. Callers in REPEATABLE READ or
	// SERIALIZABLE also get it for a serialization failure: roll back and run the transaction again.
	ErrConflict = errors.New("conflict")
	// ErrInvalid: the input was refused, by the store or by a constraint. Nothing was written.
	ErrInvalid = errors.New("invalid input")
)

// ConflictError names the tasks of a call that were no longer as the caller last saw them. The other
// tasks of the call were applied. errors.Is(err, ErrConflict) holds. A task that a call has at two versions is
// named for the older one, whatever became of the newer.
type ConflictError struct {
	IDs []int64 // in ascending order
}

// conflict returns a ConflictError for ids, or nil if there are none.
func conflict(ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	return &ConflictError{IDs: slices.Compact(ids)}
}

func (e *ConflictError) Error() string {
	const shown = 10
	ids := strings.Trim(fmt.Sprint(e.IDs[:min(len(e.IDs), shown)]), "[]")
	if n := len(e.IDs) - shown; n > 0 {
		ids += fmt.Sprintf(" and %d more", n)
	}
	return "conflict: changed since they were read: tasks " + ids
}

// Is reports whether target is [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// opError is any other error of the store.
type opError struct {
	op    string // what was attempted, with the task's id
	kind  error  // one of the sentinels above, or nil
	cause error
}

func (e *opError) Error() string {
	text := "taskstore: " + e.op + ": "
	if e.kind != nil {
		text += e.kind.Error() + ": "
	}
	text += e.cause.Error()
	switch sqlState(e.cause) {
	case "26000", "42P05", "08P01": // a prepared statement is not where pgx left it
		text += "; a pooler in transaction mode needs default_query_exec_mode=cache_describe in the connection string"
	}
	return text
}

func (e *opError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.cause}
	}
	return []error{e.kind, e.cause}
}

// fail is the one place where an error becomes one of the store's. op is a format for args.
func fail(err error, op string, args ...any) error {
	if err == nil {
		return nil
	}
	return &opError{op: fmt.Sprintf(op, args...), kind: kindOf(err), cause: err}
}

// invalid returns an ErrInvalid whose reason is format and args.
func invalid(format string, args ...any) error {
	return &inputError{reason: fmt.Sprintf(format, args...)}
}

// inputError is input that the store refuses itself.
type inputError struct {
	reason string
	cause  error // or nil
}

func (e *inputError) Error() string { return e.reason }
func (e *inputError) Unwrap() error { return e.cause }

func kindOf(err error) error {
	var input *inputError
	var conflict *ConflictError
	switch {
	case errors.As(err, &input):
		return ErrInvalid
	case errors.As(err, &conflict):
		return nil // says it itself
	case errors.Is(err, errChanged):
		return ErrConflict
	case errors.Is(err, pgx.ErrNoRows):
		return ErrNotFound
	}
	code := sqlState(err)
	switch {
	case code == "40001": // serialization_failure: a stricter isolation level lost the race
		return ErrConflict
	case strings.HasPrefix(code, "22"), // data exception: out of range, not UTF-8
		code == "23502", code == "23514", // not_null_violation, check_violation
		strings.HasPrefix(code, "54"): // program limit exceeded
		return ErrInvalid
	}
	return nil
}

// errChanged is the cause of a conflict that shows as no row, not as an error of the server.
var errChanged = errors.New("changed since it was read")

// isTransient reports whether the server rolled back for the sake of another transaction.
func isTransient(err error) bool {
	code := sqlState(err)
	return code == "40001" || code == "40P01"
}

func sqlState(err error) string {
	if err == nil { // before pg, which is allocated
		return ""
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
