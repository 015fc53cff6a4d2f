package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// load is so many handlers, while the producer keeps tasks pending.
type load struct {
	handlers int
	measure  time.Duration
	// beside begins after a first measurement, which found that rate, and the second one ends when it has lasted for
	// hold. nil: there is one measurement.
	beside func(ctx context.Context, s *session, rate float64) (end func(), err error)
	hold   time.Duration
}

func (l load) run(ctx context.Context, s *session) (sample, error) {
	failed, stop := s.feed(ctx)
	defer stop() //nolint:errcheck // its error is known, or another one is returned
	if err := s.work(l.handlers); err != nil {
		return sample{}, err
	}
	if err := wait(ctx, l.measure/2, failed); err != nil { // to warm up
		return sample{}, err
	}
	res, err := s.measure(ctx, l.measure, failed)
	if err != nil {
		return sample{}, err
	}
	if l.beside != nil {
		end, err := l.beside(ctx, s, res.Rate)
		if err != nil {
			return sample{}, err
		}
		defer end()
		before := res.Rate
		if err := wait(ctx, l.hold-l.measure, failed); err != nil {
			return sample{}, err
		}
		if res, err = s.measure(ctx, l.measure, failed); err != nil {
			return sample{}, err
		}
		res.Before = before
	}
	if err := stop(); err != nil {
		return sample{}, err
	}
	return res, s.check(ctx)
}

// holdSnapshot leaves a transaction idle that has a snapshot, as a forgotten session does.
func holdSnapshot(ctx context.Context, s *session, _ float64) (func(), error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	return func() { _ = conn.Close(context.WithoutCancel(ctx)) }, look(ctx, conn)
}

// readAgain has four sessions, each of which holds a snapshot for ten seconds, over and over.
func readAgain(ctx context.Context, s *session, _ float64) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	for i := range 4 {
		conn, err := pgx.Connect(ctx, s.url)
		if err != nil {
			cancel()
			return nil, err
		}
		go func() {
			defer conn.Close(context.WithoutCancel(ctx))
			for first := time.Duration(i) * 2500 * time.Millisecond; look(ctx, conn) == nil; first = 0 {
				if wait(ctx, 10*time.Second-first, nil) != nil {
					return
				}
				if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
					return
				}
			}
		}()
	}
	return cancel, nil
}

// look takes a snapshot.
func look(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	_, err := conn.Exec(ctx, "SELECT count(*) FROM pg_class")
	return err
}

// overload has the producer create tasks faster than they are completed.
func overload(_ context.Context, s *session, rate float64) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pace = 1.5 * rate
	return func() {}, nil
}

// trickle has the producer create one task of each of 49 integrations, ten times a second, beside a backlog of another.
func trickle(backlog int, measure time.Duration) func(context.Context, *session) (sample, error) {
	return func(ctx context.Context, s *session) (sample, error) {
		conn, err := pgx.Connect(ctx, s.url)
		if err != nil {
			return sample{}, err
		}
		defer conn.Close(context.WithoutCancel(ctx))
		// These do not say when they were created, so that their time does not count.
		_, err = conn.Exec(ctx, `
			INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
			SELECT 1000, i % 50000, i % 1000, i % 5000, i % 20, '{}' FROM generate_series(1, $1::bigint) AS i`, backlog)
		if err != nil {
			return sample{}, err
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		failed := make(chan error, 1)
		go func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				if err := s.create(s.producer, 49); err != nil {
					failed <- err
					return
				}
				<-tick.C
			}
		}()
		if err := s.work(64); err != nil {
			return sample{}, err
		}
		if err := wait(ctx, measure/2, failed); err != nil {
			return sample{}, err
		}
		return s.measure(ctx, measure, failed)
	}
}

const idleHandlers = 10 // of a worker that has little to do

// nothing measures a worker that has had nothing to do for so long.
func nothing(d time.Duration) func(context.Context, *session) (sample, error) {
	return func(ctx context.Context, s *session) (sample, error) {
		if err := s.work(idleHandlers); err != nil {
			return sample{}, err
		}
		if err := wait(ctx, d, nil); err != nil {
			return sample{}, err
		}
		return s.measure(ctx, d, nil)
	}
}

// pickups measures single tasks. Between them nothing happens for half a second to two and a half.
func pickups(tasks int, same bool) func(context.Context, *session) (sample, error) {
	return func(ctx context.Context, s *session) (sample, error) {
		if err := s.work(idleHandlers); err != nil {
			return sample{}, err
		}
		from := s.producer
		if same {
			from = s.worker
		}
		some := func(n int) error {
			for range n {
				if err := wait(ctx, 500*time.Millisecond+rand.N(2*time.Second), nil); err != nil {
					return err
				}
				if err := s.create(from, 1); err != nil {
					return err
				}
			}
			return s.until(ctx, "SELECT ("+s.system.left+") = 0")
		}
		if err := some(2); err != nil { // to warm up
			return sample{}, err
		}
		m, err := s.begin(ctx)
		if err != nil {
			return sample{}, err
		}
		if err := some(tasks); err != nil {
			return sample{}, err
		}
		res, err := m.end(ctx)
		if err != nil {
			return sample{}, err
		}
		return res, s.check(ctx)
	}
}
