package taskstore

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// table is the primary key as a pass sees it: true where a row can be deleted.
type table map[int64]bool

func (tb table) from(first, last int64) []int64 {
	var ids []int64
	for id := range tb {
		if id >= first && id <= last {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (tb table) deletable() (n int64) {
	for _, ok := range tb {
		if ok {
			n++
		}
	}
	return n
}

// pass returns a pass over tb in slices of rows. Rows that keep reports stay, as those that a trigger protects do.
func (tb table) pass(rows int, keep func(int64) bool) pass {
	return pass{
		look: func(first int64) (s dbgen.NextSliceRow, err error) {
			ids := tb.from(first, math.MaxInt64)
			s.Last = math.MaxInt64
			if len(ids) >= rows {
				ids = ids[:rows]
				s.Last = ids[rows-1]
			}
			for _, id := range ids {
				if tb[id] {
					s.Finished++
				}
			}
			return s, nil
		},
		remove: func(first, last int64, limit int) (gone dbgen.DeleteFinishedRow, err error) {
			for _, id := range tb.from(first, last) {
				if !tb[id] || gone.Picked == int64(limit) {
					continue
				}
				gone.Picked++
				gone.LastPicked = id
				if !keep(id) {
					gone.Deleted++
					delete(tb, id)
				}
			}
			return gone, nil
		},
	}
}

// However rows lie, a pass deletes all it may, up to its limit, and one that comes back short has looked everywhere.
func TestPassLooksEverywhere(t *testing.T) {
	t.Parallel()
	protected := func(id int64) bool { return id%7 == 0 }
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		tb := table{bottom: seed%2 == 0, math.MaxInt64: seed%3 == 0}
		for range rnd.IntN(60) {
			tb[rnd.Int64N(200)-50] = rnd.IntN(2) == 0
		}
		next, limit := rnd.Int64N(200)-50, 1+rnd.IntN(20)
		if rnd.IntN(3) == 0 {
			next = bottom
		}
		for {
			before := tb.deletable()
			var kept int64
			for id, ok := range tb {
				if ok && protected(id) {
					kept++
				}
			}
			var n int64
			var err error
			n, next, err = tb.pass(1+rnd.IntN(10), protected).run(next, limit)
			if err != nil || n > int64(limit) || n != before-tb.deletable() {
				t.Fatalf("seed %d: deleted %d of limit %d, %d in the table, %v", seed, n, limit, before-tb.deletable(), err)
			}
			if n < int64(limit) {
				if tb.deletable() != kept || next != bottom {
					t.Fatalf("seed %d: %d are left of which %d are protected; next %d", seed, tb.deletable(), kept, next)
				}
				break
			}
		}
	}
}

func TestPassGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	tb := table{1: true, 2: true, 3: false, 4: true, 5: true}
	p := tb.pass(2, func(int64) bool { return false })
	away := errors.New("away")
	remove := p.remove
	p.remove = func(first, last int64, limit int) (dbgen.DeleteFinishedRow, error) {
		if first > 1 {
			return dbgen.DeleteFinishedRow{}, away
		}
		return remove(first, last, limit)
	}
	n, next, err := p.run(bottom, 10)
	if n != 2 || next != 3 || !errors.Is(err, away) {
		t.Errorf("deleted %d, next %d, %v", n, next, err)
	}
	if n, next, err = tb.pass(2, func(int64) bool { return false }).run(next, 10); n != 2 || next != bottom || err != nil {
		t.Errorf("then deleted %d, next %d, %v", n, next, err)
	}
}

// What is before a time has a version below its cutoff, also where milliseconds end.
func TestCutoff(t *testing.T) {
	t.Parallel()
	first, last := time.UnixMilli(math.MinInt64), time.UnixMilli(math.MaxInt64)
	for before, want := range map[time.Time]int64{
		time.UnixMilli(7):        7,
		time.UnixMilli(7).Add(1): 8,
		first.Add(-time.Hour):    math.MinInt64,
		last:                     math.MaxInt64,
		last.Add(1):              math.MaxInt64,
		last.Add(time.Hour):      math.MaxInt64,
	} {
		if got := cutoffOf(before); got != want {
			t.Errorf("the cutoff of %v is %d, want %d", before, got, want)
		}
	}
}
