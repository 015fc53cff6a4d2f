// Package dbgen is what sqlc generates from queries and schema, and the types of its columns. It makes no promise to
// importers: use package taskstore.
package dbgen

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// Status says where a task is in its life: [Pending], [Processing], [Completed] or [Failed].
type Status int32

// A task goes from Pending through Processing to Completed or Failed.
const (
	Pending    Status = 0
	Processing Status = 1
	Completed  Status = 2
	Failed     Status = 3
)

// Valid reports whether s is one of the four statuses.
func (s Status) Valid() bool { return s >= Pending && s <= Failed }

// String returns the status in lower case, or Status(n) for a number that is none.
func (s Status) String() string {
	switch s {
	case Pending:
		return "pending"
	case Processing:
		return "processing"
	case Completed:
		return "completed"
	case Failed:
		return "failed"
	default:
		return "Status(" + strconv.Itoa(int(s)) + ")"
	}
}

// Millis is a time in Unix epoch milliseconds, as the table stores it.
type Millis int64

// MillisOf returns t in milliseconds, rounded down. The zero time.Time is far in the past, as it is in Go. A time beyond
// the 292 million years around 1970 that fit is the first or the last of them.
func MillisOf(t time.Time) Millis {
	switch {
	case t.Before(time.UnixMilli(math.MinInt64)):
		return math.MinInt64
	case t.After(time.UnixMilli(math.MaxInt64)):
		return math.MaxInt64
	}
	return Millis(t.UnixMilli())
}

// Time returns m as a UTC time.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// ScanInt64 implements [pgtype.Int64Scanner], pgx's way to read an integer without reflection and
// without an allocation for each value. NULL, which a table that was not migrated may hold, reads as 0.
func (s *Status) ScanInt64(v pgtype.Int8) error {
	if v.Int64 < math.MinInt32 || v.Int64 > math.MaxInt32 {
		return fmt.Errorf("status %d does not fit 32 bits", v.Int64)
	}
	*s = Status(v.Int64)
	return nil
}

// ScanInt64 implements [pgtype.Int64Scanner], as [Status.ScanInt64] does.
func (m *Millis) ScanInt64(v pgtype.Int8) error {
	*m = Millis(v.Int64)
	return nil
}
