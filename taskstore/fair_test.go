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
			if turns := r.next(10); len(turns) != 1 || turns[0] != (turn{1, 10}) {
				t.Errorf("filled in %v, the ring hands out %v before its time", took, turns)
			}
			time.Sleep(time.Nanosecond)
			if turns := r.next(10); turns != nil {
				t.Errorf("filled in %v, the ring hands out %v when it is old", took, turns)
			}
		}
	})
}
