package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// effects is how many tasks there are in an attack. Each has one effect.
const effects = 4000

// attack is what happens while they are handled.
type attack struct {
	name  string
	begin func(ctx context.Context, s *session) (end func(), err error)
}

var attacks = []attack{
	{"worker killed", func(ctx context.Context, s *session) (func(), error) { return nothingElse, s.kill(ctx, 1) }},
	{"killed ten times", func(ctx context.Context, s *session) (func(), error) { return nothingElse, s.kill(ctx, 10) }},
	{"server crashed", crash},
	{"sessions terminated", terminate},
	{"300 idle sessions", crowd},
}

func nothingElse() {}

// run creates the tasks, attacks, and counts effects when all tasks are completed.
func (a attack) run(ctx context.Context, s *session) (res sample, err error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err == nil {
		_, err = conn.Exec(ctx, `CREATE TABLE effects (task_id bigint, at timestamptz DEFAULT clock_timestamp())`)
	}
	if err != nil {
		return res, err
	}
	if err := conn.Close(ctx); err != nil {
		return res, err
	}
	for s.created < effects {
		if err := s.create(s.producer, batchSize); err != nil {
			return res, err
		}
	}
	if err := s.work(64); err != nil {
		return res, err
	}
	end, err := a.begin(ctx, s)
	if err != nil {
		return res, err
	}
	defer end()
	if err := s.until(ctx, "SELECT ("+s.system.left+") = 0"); err != nil {
		return res, err
	}
	err = read(ctx, s.url, `SELECT
		(SELECT count(*) FROM tasks WHERE id NOT IN (SELECT task_id FROM effects)),
		(SELECT count(*) - count(DISTINCT task_id) FROM effects),
		(SELECT max(extract(epoch FROM pause))::float8
			FROM (SELECT at - lag(at) OVER (ORDER BY at) AS pause FROM effects) AS all_of_them)`,
		&res.Lost, &res.Twice, &res.Pause)
	return res, err
}

// done waits until there are that many effects.
func (s *session) done(ctx context.Context, n int) error {
	return s.until(ctx, fmt.Sprintf("SELECT count(*) >= %d FROM effects", n))
}

// kill kills the worker that often, evenly over the tasks, and starts another at once.
func (s *session) kill(ctx context.Context, times int) (err error) {
	for i := range times {
		if err := s.done(ctx, (i+1)*effects/(times+2)); err != nil {
			return err
		}
		if err := s.worker.kill(); err != nil {
			return err
		}
		if s.worker, err = start(ctx, s.system, s.url); err != nil {
			return err
		}
		if err := s.work(64); err != nil {
			return err
		}
	}
	return nil
}

// crash kills a session's process by its own hand, so that the server restarts itself.
func crash(ctx context.Context, s *session) (func(), error) {
	if err := s.done(ctx, effects/3); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, _ = conn.Exec(ctx, "COPY (SELECT) TO PROGRAM 'kill -KILL $PPID'") // the answer never comes
	return nothingElse, nil
}

// terminate ends one of the database's sessions after the other, the worker's or the producer's.
func terminate(ctx context.Context, s *session) (func(), error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer conn.Close(context.WithoutCancel(ctx))
		for wait(ctx, 100*time.Millisecond, nil) == nil {
			_, _ = conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1`)
		}
	}()
	return cancel, nil
}

// crowd opens 300 sessions that do nothing.
func crowd(ctx context.Context, s *session) (func(), error) {
	var all []*pgx.Conn
	end := func() {
		for _, conn := range all {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}
	for range 300 {
		conn, err := pgx.Connect(ctx, s.url)
		if err != nil {
			end()
			return nil, err
		}
		all = append(all, conn)
	}
	return end, nil
}
