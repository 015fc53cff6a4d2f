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
	// ErrInvalid: the input was refused, by the store or by the database. Nothing was written.
	ErrInvalid = errors.New("invalid input")
	// ErrUncertain: the statement was sent, and the connection or the context ended before its answer: it was done, or
	// it was not. Read the tasks, or repeat what may be repeated: a create with a [NewTask.Key], an update or
	// an ending on the version that the caller has. After any other error of a write nothing was written, but for the
	// other tasks of a [ConflictError] and what [Store.DeleteFinished] has counted.
	ErrUncertain = errors.New("it is uncertain whether this was done")
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
	return "conflict: no longer held: tasks " + ids
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
		text += e.kind.Error()
	}
	if !errors.Is(e.cause, pgx.ErrNoRows) { // says no more than "not found"
		if e.kind != nil {
			text += ": "
		}
		text += e.cause.Error()
	}
	switch sqlState(e.cause) {
	case "26000", "42P05", "08P01": // a prepared statement is not where pgx left it
		text += "; a pooler in transaction mode needs default_query_exec_mode=cache_describe in the connection string"
	case "42P01", "42703": // undefined_table, undefined_column
		text += "; is the search_path right? If it is, bring the database to this version's schema by: taskmigrate up"
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

// uncertainError is the error of a statement that was sent and not answered.
type uncertainError struct{ cause error }

func (e *uncertainError) Error() string { return e.cause.Error() }
func (e *uncertainError) Unwrap() error { return e.cause }

func kindOf(err error) error {
	var input *inputError
	var conflict *ConflictError
	var uncertain *uncertainError
	switch {
	case errors.As(err, &input):
		return ErrInvalid
	case errors.As(err, &conflict):
		return nil // says it itself
	case errors.As(err, &uncertain):
		return ErrUncertain
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

// mayBeDone reports whether a statement that failed by err may have been done: it was sent, and what came back does
// not say that it was rolled back. conn is its connection, nil where the DB does not tell.
func mayBeDone(err error, conn *pgx.Conn) bool {
	var server *pgconn.PgError
	var scan pgx.ScanArgError
	var preparing pgx.ErrPreprocessingBatch
	switch {
	case errors.As(err, &preparing): // a batch, before it was sent
		return false
	case errors.As(err, &server):
		// The server's errors roll back. Those of class 08 come from a pooler that lost its server; 40003 says itself that
		// the outcome is unknown; a PANIC may come after the commit has been logged.
		return strings.HasPrefix(server.Code, "08") || server.Code == "40003" || server.SeverityUnlocalized == "PANIC"
	case errors.As(err, &scan):
		return true // done, but its rows cannot be read
	case errors.Is(err, pgx.ErrNoRows), errors.Is(err, pgx.ErrTxClosed), pgconn.SafeToRetry(err):
		return false // nothing of the statement was sent
	default:
		// pgx closes a connection whose answer it did not read to the end. One that is open was not sent the statement.
		return conn == nil || conn.IsClosed()
	}
}

// isTransient reports whether the server rolled back for the sake of another transaction.
func isTransient(err error) bool {
	code := sqlState(err)
	return code == "40001" || code == "40P01"
}

// isRowsFault reports whether the server gave a statement up for something that one of its rows can be the cause of: a
// value, a constraint, a trigger, a policy, a lock that was waited for too long. Without that row it may succeed.
func isRowsFault(err error) bool {
	var server *pgconn.PgError
	if !errors.As(err, &server) || server.SeverityUnlocalized != "ERROR" {
		return false
	}
	switch {
	case server.Code == "42501": // insufficient_privilege: by a policy for rows, or else the role lacks a right
		return server.Routine != "aclcheck_error"
	case strings.HasPrefix(server.Code, "57P"): // the server is going away
		return false
	}
	switch server.Code[:min(2, len(server.Code))] {
	case "08", "25", "42", "53", "58", "XX": // connection, state, SQL, resources, system: the same for each row
		return false
	}
	return true
}

func sqlState(err error) string {
	if err == nil { // before server, which is allocated
		return ""
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return server.Code
	}
	return ""
}
