package dbgen

import (
	"math"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	for st, want := range map[Status]string{
		Pending: "pending", Processing: "processing", Completed: "completed", Failed: "failed",
	} {
		if !st.Valid() || st.String() != want {
			t.Errorf("status %d: valid %v, %q, want %q", int32(st), st.Valid(), st, want)
		}
	}
	for st, want := range map[Status]string{
		-1: "Status(-1)", 4: "Status(4)", math.MaxInt32: "Status(2147483647)", math.MinInt32: "Status(-2147483648)",
	} {
		if st.Valid() || st.String() != want {
			t.Errorf("status %d: valid %v, %q, want %q", int32(st), st.Valid(), st, want)
		}
	}
	if Pending != 0 || Processing != 1 || Completed != 2 || Failed != 3 {
		t.Error("the statuses are not the table's")
	}
}

func TestMillis(t *testing.T) {
	t.Parallel()
	example := time.Date(2024, 7, 24, 11, 2, 40, 936_000_000, time.UTC) // the document's example
	for _, c := range []struct {
		time time.Time
		want Millis
	}{
		{example, 1721818960936},
		{example.Add(999 * time.Microsecond), 1721818960936}, // rounded down
		{example.In(time.FixedZone("", 8*3600)), 1721818960936},
		{time.Unix(0, 0), 0},
		{time.Unix(0, -1), -1}, // down, not towards zero
		{time.Time{}, -62135596800000},
		{time.UnixMilli(math.MinInt64).Add(-1), math.MinInt64}, // there the count of time.Time overflows
		{time.UnixMilli(math.MaxInt64).Add(time.Hour), math.MaxInt64},
	} {
		if got := MillisOf(c.time); got != c.want {
			t.Errorf("MillisOf(%v) = %d, want %d", c.time, got, c.want)
		}
	}
	if got := Millis(1721818960936).Time(); !got.Equal(example) || got.Location() != time.UTC {
		t.Errorf("Time() = %v, want %v", got, example)
	}
	for _, m := range []Millis{0, 1, -1, 1721818960936, 99_999_999_999_999} {
		if got := MillisOf(m.Time()); got != m {
			t.Errorf("%d came back as %d", m, got)
		}
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	st := Failed
	if err := st.ScanInt64(pgtype.Int8{Int64: 2, Valid: true}); err != nil || st != Completed {
		t.Errorf("scanned %v, %v, want completed", st, err)
	}
	if err := st.ScanInt64(pgtype.Int8{}); err != nil || st != Pending {
		t.Errorf("NULL became %v, %v, want pending", st, err)
	}
	for _, n := range []int64{math.MaxInt32 + 1, math.MinInt32 - 1, math.MaxInt64} {
		if err := st.ScanInt64(pgtype.Int8{Int64: n, Valid: true}); err == nil {
			t.Errorf("%d, which does not fit, became %v", n, st)
		}
	}
	m := Millis(1)
	if err := m.ScanInt64(pgtype.Int8{Int64: math.MaxInt64, Valid: true}); err != nil || m != math.MaxInt64 {
		t.Errorf("scanned %d, %v", m, err)
	}
	if err := m.ScanInt64(pgtype.Int8{}); err != nil || m != 0 {
		t.Errorf("NULL became %d, %v, want 0", m, err)
	}
}
