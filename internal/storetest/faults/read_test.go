package faults

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// reads are the methods that write nothing.
var reads = []method{
	{
		name: "Get", statement: "GetTask",
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.Get(ctx, ts[0].ID)
			return err
		},
	},
	{
		name: "GetByKey", statement: "GetTaskByKey",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.GetByKey(ctx, "key")
			return err
		},
	},
	{
		name: "List", statement: "ListTasks",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.List(ctx, taskstore.Filter{}, taskstore.Page{})
			return err
		},
	},
	{
		name: "All", statement: "ListTasks",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			for _, err := range s.All(ctx, taskstore.Filter{}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	},
	{
		name: "Count", statement: "CountTasks",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.Count(ctx, taskstore.Filter{})
			return err
		},
	},
	{
		name: "CountByStatus", statement: "CountByStatus",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.CountByStatus(ctx)
			return err
		},
	},
	{
		name: "Failures", statement: "ListFailures",
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.Failures(ctx, ts[0].ID)
			return err
		},
	},
	{
		name: "Backlog", statement: "GetBacklog",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.Backlog(ctx)
			return err
		},
	},
	{
		name: "BacklogShares", statement: "ShareBacklog",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.BacklogShares(ctx, time.Minute)
			return err
		},
	},
	{
		name: "FailureReasons", statement: "CountFailureReasons",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.FailureReasons(ctx)
			return err
		},
	},
	{
		name: "Stale", statement: "ListStaleTasks",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.Stale(ctx, taskstore.Filter{}, time.Minute, 1)
			return err
		},
	},
	{
		name: "Finished", statement: "NextSlice",
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, _, err := s.Finished(ctx, storetest.Cutoff, 1)
			return err
		},
	},
}

// A read is never ErrUncertain, whatever happens to it.
func TestReads(t *testing.T) {
	t.Parallel()
	for _, m := range reads {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			p := newProxy(t, b.URL)
			for _, e := range events {
				for _, kind := range kinds {
					if e.network {
						t.Run(e.name+" ("+kind+")", func(t *testing.T) {
							check(t, newScene(t, b, p, kind, m), e, cell{"the cause", "nothing"})
						})
					}
				}
			}
		})
	}
}

// Some writes also read, before they write or after it. What breaks there is certain, unless something was written.
func TestReadsOfWrites(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := newProxy(t, b.URL)
	stale := func(name string, which ...int) method {
		m := methodNamed(t, name)
		call := m.call
		m.call = func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			for _, i := range which {
				ts[i].UpdatedAt--
			}
			return call(ctx, s, ts)
		}
		return m
	}
	for _, look := range []struct {
		method
		read string
		want cell
	}{
		{methodNamed(t, "Claim"), "NewestID", cell{"the cause", "nothing"}},
		{methodNamed(t, "ClaimFair"), "NewestID", cell{"the cause", "nothing"}},
		{methodNamed(t, "ClaimFair"), "ListPendingIntegrations", cell{"the cause", "nothing"}},
		{methodNamed(t, "Exchange"), "NewestID", cell{"the cause", "nothing"}},
		{methodNamed(t, "RequeueStale"), "ListAhead", cell{"the cause", "nothing"}},
		{methodNamed(t, "DeleteFinished"), "NextSlice", cell{"the cause", "nothing"}},
		{stale("Update", 1), "GetTask", cell{"the cause", "nothing"}},
		{stale("SetStatus", 1), "GetTask", cell{"the cause", "nothing"}},
		{stale("Heartbeat", 0, 1, 2), "ListHeld", cell{"the cause", "nothing"}},
		{stale("Heartbeat", 1), "ListHeld", cell{"`ErrUncertain`", "the others"}},
	} {
		for _, kind := range autonomous {
			for _, f := range []fault{{}, {request: 1}, {request: 1, answer: 0.5}, {mute: true}, {prepare: true}} {
				f.statement = look.read
				e := network(look.read, f)
				check(t, newScene(t, b, p, kind, look.method), e, look.want)
			}
		}
	}
}

func methodNamed(t *testing.T, name string) method {
	t.Helper()
	for _, m := range methods {
		if m.name == name {
			return m
		}
	}
	t.Fatal(errors.New("no method " + name))
	return method{}
}
