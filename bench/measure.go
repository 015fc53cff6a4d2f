package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// sample is one measurement of one entry.
type sample struct {
	Rate   float64 `json:"rate"`    // rows a second
	Mean   float64 `json:"mean_ms"` // of an operation
	P50    float64 `json:"p50_ms"`  // of an operation
	P99    float64 `json:"p99_ms"`  // of an operation
	Allocs float64 `json:"allocs"`  // an operation, of the whole client; 0 if it is another process
	CPU    float64 `json:"cpu_us"`  // an operation, of the client alone; 0 if it is another process
	Rows   int     `json:"rows"`    // in all
	Ops    int     `json:"ops"`     // in all
	Secs   float64 `json:"seconds"` // in all
}

// operation does one operation of worker w, its i-th, and returns how many rows it stood for. 0 ends
// the worker: there is nothing left to do.
type operation func(ctx context.Context, w, i int) (rows int, err error)

// loop runs op in workers goroutines until the time is over, there is nothing left to do, or each has
// done limit operations (0: no limit).
func loop(ctx context.Context, op operation, workers int, d time.Duration, limit, base int) (sample, error) {
	lat := make([][]time.Duration, workers)
	rows := make([]int, workers)
	errs := make([]error, workers)
	for w := range lat {
		lat[w] = make([]time.Duration, 0, 1<<15)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	start := time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := 0; limit == 0 || i < limit; i++ {
				begin := time.Now()
				if begin.Sub(start) >= d {
					return
				}
				n, err := op(ctx, w, base+i)
				if err != nil || n == 0 {
					errs[w] = err
					return
				}
				lat[w] = append(lat[w], time.Since(begin))
				rows[w] += n
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(start)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	for _, err := range errs {
		if err != nil {
			return sample{}, err
		}
	}
	total := 0
	for _, n := range rows {
		total += n
	}
	return summarize(slices.Concat(lat...), total, elapsed, after.Mallocs-before.Mallocs, cpu)
}

func summarize(lat []time.Duration, rows int, elapsed time.Duration, mallocs uint64, cpu time.Duration) (sample, error) {
	if len(lat) == 0 {
		return sample{}, fmt.Errorf("nothing was done")
	}
	slices.Sort(lat)
	var sum time.Duration
	for _, l := range lat {
		sum += l
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return sample{
		Rate:   float64(rows) / elapsed.Seconds(),
		Mean:   ms(sum) / float64(len(lat)),
		P50:    ms(lat[len(lat)/2]),
		P99:    ms(lat[len(lat)*99/100]),
		Allocs: float64(mallocs) / float64(len(lat)),
		CPU:    1000 * ms(cpu) / float64(len(lat)),
		Rows:   rows,
		Ops:    len(lat),
		Secs:   elapsed.Seconds(),
	}, nil
}

// cpuTime is what this process has used of the processors. It says less of the machine's other load than
// the time that passes does.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// median of values, which it sorts.
func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	if n == 0 {
		return 0
	}
	if n%2 == 1 {
		return values[n/2]
	}
	return (values[n/2-1] + values[n/2]) / 2
}
