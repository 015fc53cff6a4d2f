// Package pace has goroutines do something at a steady rate, and tells how long it took.
package pace

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Latency is how long operations took.
type Latency struct {
	Count   int     `json:"count"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Longest float64 `json:"longest_ms"`
}

// Times collects how long operations took. It is safe for concurrent use.
type Times struct {
	mu   sync.Mutex
	took []time.Duration
}

// Since adds an operation that began then.
func (t *Times) Since(began time.Time) {
	d := time.Since(began)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, d)
}

// Take returns what was collected, and begins anew.
func (t *Times) Take() Latency {
	t.mu.Lock()
	took := t.took
	t.took = nil
	t.mu.Unlock()
	if len(took) == 0 {
		return Latency{}
	}
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return d.Seconds() * 1000 }
	return Latency{len(took), ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1])}
}

// Keep has each worker do op once in an interval until the context ends, which does not interrupt op. op is told when
// it was due: one that is late makes the next one late, and none is left out. The first error ends it.
func Keep(ctx context.Context, workers int, interval time.Duration, op func(due time.Time) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for due := time.Now().Add(interval * time.Duration(w) / time.Duration(workers)); ; due = due.Add(interval) {
				if Sleep(ctx, time.Until(due)) != nil {
					return
				}
				if errs[w] = op(due); errs[w] != nil {
					stop()
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Sleep waits, or returns the context's error where that ends before.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return ctx.Err() // both may be ready
	}
}
