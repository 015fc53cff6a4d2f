package taskstore

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tasklane/tasks/dbgen"
)

// Task is a row of the tasks table, with the fields ID, IntegrationID, UserID, ClientID, AccountID and
// TemplateID (int64), Argument (string), Status ([Status]), CreatedAt and UpdatedAt ([Millis]); see
// `go doc github.com/tasklane/tasks/dbgen Task`. Its JSON has the column names, with status and times as
// integers.
//
// A Task that was read is also a token: UpdatedAt is the row's version, and a write that presents it
// succeeds only if nobody has changed the row since.
type Task = dbgen.Task

// NewTask is what a caller says of a task to be created. It starts out pending.
type NewTask struct {
	IntegrationID, UserID, ClientID, AccountID, TemplateID int64

	// Argument is valid UTF-8 without NUL; PostgreSQL's limit is 1 GB. See [EncodeArgument].
	Argument string
}

// Batch names the tasks of one integration, client and template, which idx_task locates.
type Batch struct {
	IntegrationID, ClientID, TemplateID int64
}

// Status says where a task is in its life: [Pending], [Processing], [Completed] or [Failed], 0 to 3 in the
// table. Its methods are String, in lower case, and Valid.
type Status = dbgen.Status

// A task goes from Pending through Processing to Completed or Failed.
const (
	Pending    = dbgen.Pending
	Processing = dbgen.Processing
	Completed  = dbgen.Completed
	Failed     = dbgen.Failed
)

// Millis is a time in Unix epoch milliseconds, as the table stores it. Its method Time returns it as a UTC
// time.Time; [MillisOf] goes the other way.
type Millis = dbgen.Millis

// MillisOf returns t in milliseconds, rounded down.
func MillisOf(t time.Time) Millis { return dbgen.MillisOf(t) }

// checkArgument refuses what PostgreSQL's text cannot hold, before anything is sent.
func checkArgument(arg string) error {
	if i := strings.IndexByte(arg, 0); i >= 0 {
		return invalid("argument has a NUL at byte %d, which PostgreSQL's text cannot hold", i)
	}
	if !utf8.ValidString(arg) {
		for i, r := range arg {
			if r == utf8.RuneError {
				if _, size := utf8.DecodeRuneInString(arg[i:]); size == 1 {
					return invalid("argument is not valid UTF-8 at byte %d", i)
				}
			}
		}
	}
	return nil
}

func checkStatus(s Status) error {
	if !s.Valid() {
		return invalid("status %d is none of 0 pending, 1 processing, 2 completed, 3 failed", int32(s))
	}
	return nil
}
