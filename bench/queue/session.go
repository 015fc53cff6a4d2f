package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// session is a system at work: a worker and a producer.
type session struct {
	system           system
	how, url         string
	worker, producer *member

	mu      sync.Mutex // held while a batch is created, so that a measurement can count
	created int
	pace    float64 // tasks a second to create, whatever is pending; 0: keep depth pending
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

// work starts the worker.
func (s *session) work(handlers int) error {
	_, err := s.worker.tell("work", handlers, s.how)
	return err
}

// create has one of the processes create n tasks.
func (s *session) create(by *member, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.created += n
	_, err := by.tell("enqueue", n)
	return err
}

const depth, batchSize = 4000, 128 // what the producer keeps pending, and creates at once

// feed has the producer create tasks until stop.
func (s *session) feed(ctx context.Context) (failed <-chan error, stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer close(ended)
		next := time.Now()
		for ctx.Err() == nil {
			s.mu.Lock()
			pace, pending := s.pace, s.created-int(s.worker.done.Load())
			s.mu.Unlock()
			if pace == 0 && pending >= depth || time.Now().Before(next) {
				time.Sleep(time.Millisecond)
				continue
			}
			if err := s.create(s.producer, batchSize); err != nil {
				ended <- err
				return
			}
			if pace > 0 {
				next = next.Add(time.Duration(batchSize / pace * float64(time.Second)))
			} else {
				next = time.Now()
			}
		}
	}()
	return ended, func() error { cancel(); return <-ended }
}

// measurement is one under way.
type measurement struct {
	session   *session
	began     time.Time
	completed int
	worker    answer
	sessions  map[int32]time.Duration
}

func (s *session) begin(ctx context.Context) (m measurement, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.session = s
	if m.sessions, err = cpuOfSessions(ctx, s.url); err != nil {
		return m, err
	}
	if m.completed, err = s.completed(ctx); err != nil {
		return m, err
	}
	m.began = time.Now()
	m.worker, err = s.worker.tell("mark")
	return m, err
}

func (m measurement) end(ctx context.Context) (sample, error) {
	now, err := m.session.begin(ctx)
	took := now.began.Sub(m.began).Seconds()
	var server time.Duration
	for pid, used := range now.sessions {
		server += used - m.sessions[pid]
	}
	return sample{
		Rate: float64(now.completed-m.completed) / took,
		P50:  now.worker.P50, P95: now.worker.P95, P99: now.worker.P99,
		Worker: (now.worker.CPU - m.worker.CPU) / took,
		Server: server.Seconds() / took,
	}, err
}

// measure measures for a while, or until somebody fails.
func (s *session) measure(ctx context.Context, d time.Duration, failed <-chan error) (sample, error) {
	m, err := s.begin(ctx)
	if err == nil {
		err = wait(ctx, d, failed)
	}
	if err != nil {
		return sample{}, err
	}
	return m.end(ctx)
}

func wait(ctx context.Context, d time.Duration, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// completed counts what the database knows to be completed, while nothing is being created.
func (s *session) completed(ctx context.Context) (int, error) {
	var left int
	err := read(ctx, s.url, s.system.left, &left)
	return s.created - left, err
}

// check stops the worker and compares what it handled with what the database says. Some say that they have stopped a
// little too early.
func (s *session) check(ctx context.Context) error {
	if _, err := s.worker.tell("stop"); err != nil {
		return err
	}
	for range 100 {
		completed, err := s.completed(ctx)
		if err != nil || completed == int(s.worker.done.Load()) {
			return err
		}
		if err := wait(ctx, 20*time.Millisecond, nil); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s handled %d tasks, but the database does not say so", s.system.name, s.worker.done.Load())
}

// until waits until sql says true.
func (s *session) until(ctx context.Context, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		var ok bool
		err := read(ctx, s.url, sql, &ok)
		if ok {
			return nil
		}
		if wait(ctx, 10*time.Millisecond, nil) != nil {
			return fmt.Errorf("%s: not within a minute: %s: %w", s.system.name, sql, err)
		}
	}
}

func read(ctx context.Context, url, sql string, to ...any) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, sql).Scan(to...)
}
