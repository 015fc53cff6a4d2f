package main

import (
	"context"
	"fmt"
	"log"
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
	reason     = "503 Service Unavailable: the mail server did not take the message"
)

// The minutes go round: of three, deletion rests in the last one. In the others it deletes what has become old in all.
const (
	round = 3
	spare = 5 * time.Minute // of old tasks, so that there always are some and no call goes through the whole table
)

// Modes are what deletion does in a minute.
const (
	steady = "deleting as many as come"
	rests  = "not deleting"
	fast   = "deleting as fast as it can"
	pass   = "a pass that finds nothing" // through the whole table
)

type measurement struct {
	pool      *pgxpool.Pool
	url       string
	retention time.Duration
	report    *report

	creates, claims, completes, deletes pace.Times
	created, completed, deleted         atomic.Int64
}

// run keeps the load up while it measures for so many minutes, and after these what only a sample each is needed of.
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
	defer stop()
	worked := make(chan error, 1)
	go func() {
		defer stop()
		worked <- pace.Keep(working, workers, claimMost/2*workers*time.Second/perSecond, func(time.Time) error {
			return m.work(lasting, store)
		})
	}()
	var n atomic.Int64
	err := pace.Keep(working, creators, createMany*creators*time.Second/perSecond, func(due time.Time) error {
		ts := make([]taskstore.NewTask, createMany)
		for i := range ts {
			ts[i] = peer.NewTask(m.report.Rows + n.Add(1))
		}
		_, err := store.CreateMany(lasting, ts)
		m.creates.Since(due)
		m.created.Add(createMany)
		return err
	})
	stop()
	if other := <-worked; err == nil {
		err = other
	}
	return err
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
	began = time.Now()
	if err := store.Complete(ctx, done...); err != nil {
		return err
	}
	m.completes.Since(began)
	m.completed.Add(int64(len(ts)))
	if len(failed) == 0 {
		return nil
	}
	return store.FailWith(ctx, failed...)
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
	for i := range minutes + 2 {
		mode := steady
		switch {
		case i == minutes:
			mode = fast
			if m.report.After, err = look(ctx, m.pool); err != nil {
				return err
			}
		case i == minutes+1:
			mode = pass
		case i%round == round-1:
			mode = rests
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
