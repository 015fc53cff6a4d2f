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
	Allocs float64 `json:"allocs"`  // per operation, by this process; 0 if the client is another process
	CPU    float64 `json:"cpu_us"`  // per operation, by this process; 0 if the client is another process
	Rows   int     `json:"rows"`    // in all
	Ops    int     `json:"ops"`     // in all
	Secs   float64 `json:"seconds"` // in all
}

// operation does the i-th operation of worker w and returns how many rows it handled. 0 means that nothing is
// left to do, and ends the worker.
type operation func(ctx context.Context, w, i int) (rows int, err error)

// loop runs op in as many goroutines as workers says, until the time d is over, nothing is left to do, or each
// has done limit operations (0: no limit).
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

func summarize(
	lat []time.Duration, rows int, elapsed time.Duration, mallocs uint64, cpu time.Duration,
) (sample, error) {
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

// cpuTime is the processor time that this process has used. The machine's other load disturbs it less than
// it disturbs elapsed time.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// median sorts values and returns their median.
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
