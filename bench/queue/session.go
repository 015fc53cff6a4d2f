package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is a system at work: a worker and a producer.
type session struct {
	system           system
	how, url         string
	worker, producer *member
}

func (s *session) open(ctx context.Context) (err error) {
	if s.producer, err = start(ctx, s.system, s.url); err != nil {
		return err
	}
	if _, err = s.producer.tell("migrate"); err != nil {
		return err
	}
	s.worker, err = start(ctx, s.system, s.url)
	return err
}

func (s *session) close() {
	for _, m := range []*member{s.worker, s.producer} {
		if m != nil {
			_ = m.close() // it has told all
		}
	}
}

// loaded measures so many handlers while the producer keeps tasks pending, after a warm-up.
func loaded(handlers int, warm, measure time.Duration) func(context.Context, session) (sample, error) {
	return func(ctx context.Context, s session) (sample, error) {
		feeding, stop := context.WithCancel(ctx)
		defer stop()
		fed := make(chan error, 1)
		created := 0
		go func() {
			for feeding.Err() == nil {
				if created-int(s.worker.done.Load()) >= depth {
					time.Sleep(time.Millisecond)
					continue
				}
				if _, err := s.producer.tell("enqueue", batchSize); err != nil {
					fed <- err
					return
				}
				created += batchSize
			}
			fed <- nil
		}()
		res, err := s.measured(ctx, handlers, warm, measure, fed)
		stop()
		if err == nil {
			err = <-fed
		}
		if err == nil {
			err = s.check(ctx, created)
		}
		return res, err
	}
}

// trickle has the producer create one task of each integration, ten times a second.
func trickle(warm, measure time.Duration) func(context.Context, session) (sample, error) {
	return func(ctx context.Context, s session) (sample, error) {
		feeding, stop := context.WithCancel(ctx)
		defer stop()
		fed := make(chan error, 1)
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				if _, err := s.producer.tell("enqueue", 49); err != nil {
					fed <- err
					return
				}
				select {
				case <-feeding.Done():
					fed <- nil
					return
				case <-tick.C:
				}
			}
		}()
		return s.measured(ctx, 64, warm, measure, fed)
	}
}

// measured starts the worker and measures it for a while, or until somebody fails.
func (s session) measured(ctx context.Context, handlers int, warm, measure time.Duration, failed chan error) (sample, error) {
	if _, err := s.worker.tell("work", handlers, s.how); err != nil {
		return sample{}, err
	}
	wait := func(d time.Duration) error {
		select {
		case err := <-failed:
			return errors.Join(err, ctx.Err())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return nil
		}
	}
	if err := wait(warm); err != nil {
		return sample{}, err
	}
	m, err := s.begin(ctx)
	if err != nil {
		return sample{}, err
	}
	if err := wait(measure); err != nil {
		return sample{}, err
	}
	return m.end(ctx)
}

// nothing measures a worker that has nothing to do.
func nothing(warm, measure time.Duration) func(context.Context, session) (sample, error) {
	return func(ctx context.Context, s session) (sample, error) {
		return s.measured(ctx, 64, warm, measure, nil)
	}
}

// idle measures the pickup of single tasks. In between nothing happens for half a second to two and a half.
func idle(tasks int, same bool) func(context.Context, session) (sample, error) {
	return func(ctx context.Context, s session) (sample, error) {
		if _, err := s.worker.tell("work", 64, s.how); err != nil {
			return sample{}, err
		}
		from := s.producer
		if same {
			from = s.worker
		}
		one := func() error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(500*time.Millisecond + rand.N(2*time.Second)):
			}
			_, err := from.tell("enqueue", 1)
			return err
		}
		var m *measurement
		for i := range tasks + 2 { // two to warm up
			if i == 2 {
				var err error
				if m, err = s.begin(ctx); err != nil {
					return sample{}, err
				}
			}
			if err := one(); err != nil {
				return sample{}, err
			}
		}
		if err := s.drained(ctx, tasks+2); err != nil {
			return sample{}, err
		}
		res, err := m.end(ctx)
		if err == nil {
			err = s.check(ctx, tasks+2)
		}
		return res, err
	}
}

// drained waits until so many tasks have been handled.
func (s session) drained(ctx context.Context, tasks int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for s.worker.done.Load() < int64(tasks) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s handled %d of %d tasks", s.system.name, s.worker.done.Load(), tasks)
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// check stops the worker and compares what it handled with what the database says.
func (s session) check(ctx context.Context, created int) error {
	if _, err := s.worker.tell("stop"); err != nil {
		return err
	}
	var left int64
	if err := query(ctx, s.url, s.system.left, &left); err != nil {
		return err
	}
	if done := s.worker.done.Load(); int64(created)-left != done {
		return fmt.Errorf("%s handled %d tasks, but of %d there are %d left", s.system.name, done, created, left)
	}
	return nil
}

// measurement is one under way.
type measurement struct {
	session
	began       time.Time
	before      answer
	serverTicks map[int32]float64
}

func (s session) begin(ctx context.Context) (m *measurement, err error) {
	m = &measurement{session: s}
	if m.serverTicks, err = sessionsCPU(ctx, s.url); err != nil {
		return nil, err
	}
	m.before, err = s.worker.tell("mark")
	m.began = time.Now()
	return m, err
}

func (m *measurement) end(ctx context.Context) (sample, error) {
	a, err := m.worker.tell("mark")
	if err != nil {
		return sample{}, err
	}
	took := time.Since(m.began).Seconds()
	after, err := sessionsCPU(ctx, m.url)
	if err != nil {
		return sample{}, err
	}
	server := 0.0
	for pid, seconds := range after {
		server += seconds - m.serverTicks[pid]
	}
	return sample{
		Rate: float64(a.Handled) / took, P50: a.P50, P95: a.P95, P99: a.P99,
		Worker: (a.CPU - m.before.CPU) / took, Server: server / took,
	}, nil
}

// sessionsCPU returns the processor time, in seconds, that each session of the database has used. Linux tells it, where
// the server is on this machine.
func sessionsCPU(ctx context.Context, url string) (map[int32]float64, error) {
	var pids []int32
	err := query(ctx, url, `
		SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`, &pids)
	used := make(map[int32]float64)
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The program's name, in parentheses, may have blanks. User and system time are fields 14 and 15.
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 13 {
			continue
		}
		const ticks = 100 // a second
		for _, field := range fields[11:13] {
			n, _ := strconv.ParseFloat(field, 64) // always a number
			used[pid] += n / ticks
		}
	}
	return used, err
}

func query(ctx context.Context, url, sql string, to any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql).Scan(to)
}
