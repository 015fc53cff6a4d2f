package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/bench/pace"
	"github.com/tasklane/tasks/bench/peer"
	"github.com/tasklane/tasks/taskstore"
)

const (
	perSecond = 1000 // tasks that come, are worked on, and go

	creators   = 8
	createMany = 10

	workers   = 4
	claimMost = 50 // twice what comes in the time between two claims, so that a backlog goes

	deleteMost = 1000
	failEvery  = 100 // of so many tasks one fails
	reason     = "503 Service Unavailable: the mail server did not take the message"
)

// Modes are what deletion does in a minute.
const (
	steady = "deleting as many as come"
	rests  = "not deleting" // every third minute; the other two make up for it
	fast   = "deleting as fast as it can"
	pass   = "a pass that finds nothing" // through the whole table

	round = 3
	spare = 5 * time.Minute // of old tasks, so that there always are some and no call goes through the whole table
)

type measurement struct {
	pool      *pgxpool.Pool
	url       string
	retention time.Duration
	report    *report

	creates, claims, deletes pace.Times
	completed, deleted       atomic.Int64
}

// run keeps the load up while it measures for so many minutes, and then one minute of fast and a pass.
func (m *measurement) run(ctx context.Context, minutes int) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(m.load(ctx))
	}()
	err := m.measure(ctx, minutes)
	if err == nil {
		err = context.Cause(ctx) // why the load ended
	}
	cancel(nil)
	<-ended
	return err
}

// load creates tasks and works on them until the context ends.
func (m *measurement) load(ctx context.Context) error {
	store := taskstore.New(m.pool)
	lasting := context.WithoutCancel(ctx) // what has begun is to end
	working, stop := context.WithCancel(ctx)
	worked := make(chan error, 1)
	go func() {
		defer stop()
		worked <- pace.Keep(working, workers, claimMost/2*workers*time.Second/perSecond, func(time.Time) error {
			return m.work(lasting, store)
		})
	}()
	var last atomic.Int64
	last.Store(m.report.Rows)
	err := pace.Keep(working, creators, createMany*creators*time.Second/perSecond, func(due time.Time) error {
		ts := make([]taskstore.NewTask, createMany)
		for i := range ts {
			ts[i] = peer.NewTask(last.Add(1))
		}
		_, err := store.CreateMany(lasting, ts)
		m.creates.Since(due)
		return err
	})
	stop()
	return errors.Join(err, <-worked)
}

// work claims tasks and ends them.
func (m *measurement) work(ctx context.Context, store *taskstore.Store) error {
	began := time.Now()
	ts, err := store.Claim(ctx, claimMost)
	m.claims.Since(began)
	if err != nil || len(ts) == 0 {
		return err
	}
	var failed []taskstore.Failure
	var done []taskstore.Task
	for _, t := range ts {
		if t.ID%failEvery == 0 {
			failed = append(failed, taskstore.Failure{Task: t, Reason: reason})
		} else {
			done = append(done, t)
		}
	}
	m.completed.Add(int64(len(ts)))
	return errors.Join(store.Complete(ctx, done...), store.FailWith(ctx, failed...))
}

func (m *measurement) measure(ctx context.Context, minutes int) error {
	config, err := pgxpool.ParseConfig(m.url)
	if err != nil {
		return err
	}
	config.MaxConns = 1 // so that the processor time of its session is known
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close()
	s, err := newSampler(ctx, m, pool)
	if err != nil {
		return err
	}
	store := taskstore.New(pool)
	if err := m.minute(ctx, store, steady); err != nil { // to warm up
		return err
	}
	rounds := slices.Repeat([]string{steady, steady, rests}, minutes/round+1)
	for _, mode := range append(rounds[:minutes], fast, pass) {
		if mode == fast {
			if m.report.After, err = look(ctx, m.pool); err != nil {
				return err
			}
		}
		if err := s.begin(ctx); err != nil {
			return err
		}
		err := m.minute(ctx, store, mode)
		if ctx.Err() != nil {
			return nil // the minute is not whole
		}
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		sample, err := s.end(ctx, mode)
		if err != nil {
			return err
		}
		log.Print(sample)
		m.report.Samples = append(m.report.Samples, sample)
		if err := m.report.write(); err != nil { // also where a later minute is interrupted
			return err
		}
	}
	return nil
}

// minute lets a minute pass with deletion in a mode. A pass takes as long as it does.
func (m *measurement) minute(ctx context.Context, store *taskstore.Store, mode string) error {
	minute, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	old := func() time.Time { return time.Now().Add(-m.retention) }
	remove := func(before time.Time) error {
		began := time.Now()
		n, err := store.DeleteFinished(ctx, before, deleteMost)
		m.deletes.Since(began)
		m.deleted.Add(n)
		return err
	}
	switch mode {
	case rests:
		_ = pace.Sleep(minute, time.Minute)
	case steady:
		each := deleteMost * time.Second / perSecond * (round - 1) / round
		return pace.Keep(minute, 1, each, func(time.Time) error { return remove(old().Add(spare)) })
	case fast:
		for minute.Err() == nil {
			if err := remove(old().Add(m.retention / 2)); err != nil {
				return err
			}
		}
	case pass:
		return remove(time.UnixMilli(0))
	}
	return nil
}
