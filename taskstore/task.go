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

	// Argument is valid UTF-8 without NUL, of at most 512 MiB. See [EncodeArgument].
	Argument string

	// Key, if not empty, is of at most 512 bytes of valid UTF-8 without NUL. At most one task has it: creating with a
	// key that is taken writes nothing and returns that task, so that a create with a key may be repeated. The key is
	// free again when its task has been deleted; to a role from which row-level security hides a task, it seems deleted.
	// Whoever has ids given out again (TRUNCATE … RESTART IDENTITY) has to truncate task_keys and task_failures, too, or
	// new tasks have old keys.
	Key string
}

func (t NewTask) check() error {
	if err := checkText("argument", t.Argument, maxBytes); err != nil || t.Key == "" {
		return err
	}
	return checkKey(t.Key)
}

const maxKey = 512 // bytes, as in the table's CHECK

func checkKey(key string) error {
	if key == "" {
		return invalid("key is empty")
	}
	return checkText("key", key, maxKey)
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

// MillisOf returns t in milliseconds, rounded down. A time beyond the 292 million years around 1970 that fit is the
// first or the last of them.
func MillisOf(t time.Time) Millis { return dbgen.MillisOf(t) }

// checkText refuses what PostgreSQL's text cannot hold, before anything is sent.
func checkText(name, text string, limit int) error {
	if len(text) > limit {
		return invalid("%s has %d bytes, at most %d are possible", name, len(text), limit)
	}
	if i := strings.IndexByte(text, 0); i >= 0 {
		return invalid("%s has a NUL at byte %d, which PostgreSQL's text cannot hold", name, i)
	}
	if !utf8.ValidString(text) {
		for i, r := range text {
			if r == utf8.RuneError {
				if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
					return invalid("%s is not valid UTF-8 at byte %d", name, i)
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
