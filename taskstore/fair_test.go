package taskstore

import (
	"testing"
	"testing/synctest"
	"time"
)

// An integration that has nothing pending leaves the ring. One with a backlog stays, and must not keep others out.
func TestRingIsFilledAnewSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for took, wait := range map[time.Duration]time.Duration{
			time.Millisecond: 30 * time.Millisecond,
			time.Minute:      time.Second,
		} {
			var r ring
			r.fill([]int64{1, 2}, took)
			r.drop(2)
			time.Sleep(wait - time.Nanosecond)
			if turns := r.next(10, false); len(turns) != 1 || turns[0] != (turn{1, 10}) {
				t.Errorf("filled in %v, the ring hands out %v before its time", took, turns)
			}
			time.Sleep(time.Nanosecond)
			if turns := r.next(10, false); turns != nil {
				t.Errorf("filled in %v, the ring hands out %v when it is old", took, turns)
			}
		}
	})
}

// What a claim has just found serves it, however long its statements take.
func TestOldRingServesWhoFilledIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r ring
		r.fill([]int64{1, 2}, 0)
		time.Sleep(time.Minute)
		if turns := r.next(10, true); len(turns) != 2 {
			t.Errorf("the ring hands out %v to a claim that has filled it", turns)
		}
		r.drop(1)
		r.drop(2)
		if turns := r.next(10, true); turns != nil {
			t.Errorf("the empty ring hands out %v", turns)
		}
	})
}
