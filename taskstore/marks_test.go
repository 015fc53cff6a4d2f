package taskstore

import (
	"testing"
	"testing/synctest"
	"time"
)

// wantSpan fails the test unless the next claim from q starts at at and looks again from lagged.
func wantSpan(t *testing.T, m *marks, q Filter, at, lagged int64) span {
	t.Helper()
	s := m.start(q)
	if s.at != at || s.lagged != lagged || s.bottom != (at == bottom) {
		t.Errorf("starts at %d (bottom: %v) and looks again from %d, want %d and %d", s.at, s.bottom, s.lagged, at, lagged)
	}
	return s
}

func TestMarksLagByASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, q := newMarks(), Filter{}
		m.move(q, wantSpan(t, m, q, bottom, bottom), 10)
		m.move(q, wantSpan(t, m, q, 10, bottom), 20)
		<-time.After(markAge)
		m.move(q, wantSpan(t, m, q, bottom, bottom), 30) // once a second
		wantSpan(t, m, q, 30, bottom)                    // it stood at 20 less than a second ago
		<-time.After(markAge)
		m.start(q)
		wantSpan(t, m, q, 30, 20)
		<-time.After(markAge)
		m.start(q)
		wantSpan(t, m, q, 30, 30)
		<-time.After(10 * markAge)
		m.start(q)
		wantSpan(t, m, q, 30, 30)
	})
}

// What is put back is found by the next claim, and a claim that began before says nothing of it.
func TestMarksGoDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, q, other := newMarks(), Filter{}, ByBatch(Batch{1, 2, 3})
		m.move(q, m.start(q), 100)
		m.move(other, m.start(other), 200)
		for range 2 { // until nothing lags
			<-time.After(markAge)
			m.start(q)
			m.start(other)
		}
		under := wantSpan(t, m, q, 100, 100)
		m.lower(150)
		wantSpan(t, m, q, 100, 100)
		wantSpan(t, m, other, 150, 150)
		m.move(q, under, 200)
		wantSpan(t, m, q, 100, 100)
		m.lower(50)
		wantSpan(t, m, q, 50, 50)

		// A look from the bottom that finds more than it took leaves the mark there.
		<-time.After(markAge)
		above := span{at: 50, lagged: 50, gen: m.gens}
		m.move(q, wantSpan(t, m, q, bottom, bottom), 7)
		wantSpan(t, m, q, 7, 7)
		m.move(q, above, 60)
		wantSpan(t, m, q, 7, 7)
	})
}

// The number of queues is bounded, and each new one costs the same.
func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	m := newMarks()
	for i := range 3 * maxMarks {
		m.start(ByTemplate(int64(i)))
	}
	if len(m.of) != maxMarks {
		t.Errorf("%d marks, want %d", len(m.of), maxMarks)
	}
}
