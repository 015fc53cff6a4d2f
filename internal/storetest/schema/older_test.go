package schema

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A store on a schema older than itself does what that has tables for, as docs/deploy.md says. The rest writes nothing,
// and its error says what to do.
func TestStoreOnOlderSchemas(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := plainGoose(t, b)
	s := b.Store
	all := taskstore.Filter{}
	calls := map[string]struct {
		needs int64
		do    func(ctx context.Context) error
	}{
		"Create": {1, func(ctx context.Context) error { _, err := s.Create(ctx, storetest.NewTask(1)); return err }},
		"CreateMany": {1, func(ctx context.Context) error {
			_, err := s.CreateMany(ctx, storetest.NewTasks(3))
			return err
		}},
		"List":    {1, func(ctx context.Context) error { _, err := s.List(ctx, all, taskstore.Page{}); return err }},
		"Backlog": {1, func(ctx context.Context) error { _, err := s.Backlog(ctx); return err }},
		"Claim and Complete": {1, func(ctx context.Context) error {
			ts, err := s.Claim(ctx, 1)
			if err != nil {
				return err
			}
			return s.Complete(ctx, ts...)
		}},
		"ClaimBy, Heartbeat and Fail": {1, func(ctx context.Context) error {
			ts, err := s.ClaimBy(ctx, taskstore.ByIntegration(storetest.NewTask(1).IntegrationID), 1)
			if err != nil {
				return err
			}
			if err := s.Heartbeat(ctx, ts); err != nil {
				return err
			}
			return s.Fail(ctx, ts...)
		}},
		"ClaimFair and Exchange": {1, func(ctx context.Context) error {
			ts, err := s.ClaimFair(ctx, 1)
			if err != nil {
				return err
			}
			_, err = s.Exchange(ctx, taskstore.Ended{Completed: ts}, all, 1)
			return err
		}},
		"RequeueStale": {1, func(ctx context.Context) error {
			_, err := s.RequeueStale(ctx, all, time.Minute, 1)
			return err
		}},
		"DeleteFinished": {14, func(ctx context.Context) error {
			_, err := s.DeleteFinished(ctx, time.Now(), 1)
			return err
		}},
		"Create with a key": {13, func(ctx context.Context) error {
			task := storetest.NewTask(1)
			task.Key = "a key"
			_, err := s.Create(ctx, task)
			return err
		}},
		"FailWith": {14, func(ctx context.Context) error {
			ts, err := s.Claim(ctx, 1)
			if err != nil {
				return err
			}
			return s.FailWith(ctx, taskstore.Failure{Task: ts[0], Reason: "a reason"})
		}},
		"Failures": {14, func(ctx context.Context) error { _, err := s.Failures(ctx, 1); return err }},
		"RetryDue": {14, func(ctx context.Context) error { _, err := s.RetryDue(ctx, all, 1); return err }},
	}
	for _, version := range []int64{14, 13, 12, 11, 1} {
		downTo(t, p, version)
		b.Pool.Reset() // connections remember plans of the tables that are gone
		b.CreateMany(t, 5)
		for name, call := range calls {
			switch err := call.do(t.Context()); {
			case version >= call.needs && err != nil:
				t.Errorf("version %d: %s: %v", version, name, err)
			case version < call.needs && (err == nil || !strings.HasSuffix(err.Error(), "by: taskmigrate up")):
				t.Errorf("version %d: %s: error %v does not say what to do", version, name, err)
			}
		}
	}
}
