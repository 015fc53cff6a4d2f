package schema

import (
	"fmt"
	"math"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A badTime is a value that programs we do not control write into a time column, and the milliseconds
// that an inserted row has instead.
type badTime struct {
	name  string
	value *int64
	means taskstore.Millis // 0: no time that has been, so the row gets the time of the statement
}

const (
	born    = taskstore.Millis(1_700_000_000_000) // of the rows that foreign writers touch
	version = taskstore.Millis(1_700_000_123_456)
)

// badTimes are values of a time near instant, in each wrong unit, and values that are no time.
func badTimes(instant taskstore.Millis) []badTime {
	ms := int64(instant)
	at := func(v int64) *int64 { return &v }
	return []badTime{
		{"NULL", nil, 0},
		{"zero", at(0), 0},
		{"minus one", at(-1), 0},
		{"seconds", at(ms / 1000), instant / 1000 * 1000},
		{"smallest seconds", at(100_000_000), 100_000_000_000},
		{"seconds to come", at(99_999_999_999), 0},
		{"just below seconds", at(99_999_999), 0},
		{"microseconds", at(ms * 1000), instant},
		{"smallest microseconds", at(100_000_000_000_000), 100_000_000_000},
		{"microseconds to come", at(99_999_999_999_999_999), 0},
		{"nanoseconds", at(ms * 1_000_000), instant},
		{"smallest nanoseconds", at(100_000_000_000_000_000), 100_000_000_000},
		{"largest int64", at(math.MaxInt64), 0},
		{"smallest int64", at(math.MinInt64), 0},
	}
}

// sound reports whether m is a time in milliseconds that no guard would touch.
func sound(m taskstore.Millis) bool { return m >= 100_000_000_000 && m <= 99_999_999_999_999 }

func TestForeignInserts(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	good := int64(born)
	for _, bad := range badTimes(born) {
		for _, columns := range []struct {
			name             string
			created, updated *int64
		}{
			{"created_at", bad.value, &good},
			{"updated_at", &good, bad.value},
			{"both", bad.value, bad.value},
		} {
			t.Run(fmt.Sprintf("%s in %s", bad.name, columns.name), func(t *testing.T) {
				t.Parallel()
				earliest := b.Now(t)
				id := storetest.One[int64](t, b.Pool, `
					INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
					VALUES (1, 1, 1, 1, 1, '', $1, $2) RETURNING id`, columns.created, columns.updated)
				latest := b.Now(t)
				row, err := b.Store.Get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				check := func(column string, given *int64, got taskstore.Millis) {
					want := bad.means
					if given == &good {
						want = born
					}
					if want == 0 && got >= earliest && got <= latest {
						return
					}
					if got != want || !sound(got) {
						t.Errorf("%s is %d, want %d, or a time between %d and %d in place of 0", column, got, want, earliest, latest)
					}
				}
				check("created_at", columns.created, row.CreatedAt)
				check("updated_at", columns.updated, row.UpdatedAt)
				updated, err := b.Store.Update(t.Context(), row)
				if err != nil || updated.UpdatedAt <= row.UpdatedAt || !sound(updated.UpdatedAt) {
					t.Errorf("the store's own update made version %d of %d, error %v", updated.UpdatedAt, row.UpdatedAt, err)
				}
			})
		}
	}
}

// Values that are already right are kept, up to the limits of what can be a time in milliseconds.
func TestSoundForeignInsertsAreKept(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, ms := range []int64{100_000_000_000, int64(born), 99_999_999_999_999} {
		b.Exec(t, `
			INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
			VALUES (1, 1, 1, 1, 1, '', $1, $1)`, ms)
		rows := storetest.Stored(t, b.Pool)
		if row := rows[len(rows)-1]; int64(row.CreatedAt) != ms || int64(row.UpdatedAt) != ms {
			t.Errorf("inserted with %d, stored %+v", ms, row)
		}
	}
}
