//go:build unix

package failover

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// methods are all of the store's that take a context.
var methods = map[string]func(context.Context, *taskstore.Store) error{
	"BeginTx": func(ctx context.Context, s *taskstore.Store) error {
		tx, err := s.BeginTx(ctx, pgx.TxOptions{})
		if err != nil {
			return err
		}
		return tx.Rollback(ctx)
	},
	"Create": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Create(ctx, storetest.NewTask(1))
		return err
	},
	"CreateMany": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.CreateMany(ctx, storetest.NewTasks(2))
		return err
	},
	"GetByKey": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.GetByKey(ctx, "key")
		return err
	},
	"Get": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Get(ctx, 1)
		return err
	},
	"List": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.List(ctx, taskstore.ByUser(1), taskstore.Page{})
		return err
	},
	"All": func(ctx context.Context, s *taskstore.Store) error {
		for _, err := range s.All(ctx, taskstore.ByUser(1)) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"Count": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Count(ctx, taskstore.ByUser(1))
		return err
	},
	"CountByStatus": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.CountByStatus(ctx)
		return err
	},
	"Backlog": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Backlog(ctx)
		return err
	},
	"BacklogShares": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.BacklogShares(ctx, time.Minute)
		return err
	},
	"FailureReasons": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.FailureReasons(ctx)
		return err
	},
	"Stale": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Stale(ctx, taskstore.Filter{}, time.Minute, 1)
		return err
	},
	"Finished": func(ctx context.Context, s *taskstore.Store) error {
		_, _, err := s.Finished(ctx, time.Now(), 1)
		return err
	},
	"Failures": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Failures(ctx, 1)
		return err
	},
	"Update": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Update(ctx, taskstore.Task{ID: 1})
		return err
	},
	"SetStatus": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.SetStatus(ctx, taskstore.Task{ID: 1}, taskstore.Failed)
		return err
	},
	"Delete": func(ctx context.Context, s *taskstore.Store) error {
		return s.Delete(ctx, 1)
	},
	"Claim": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Claim(ctx, 1)
		return err
	},
	"ClaimBy": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.ClaimBy(ctx, taskstore.ByTemplate(1), 1)
		return err
	},
	"ClaimFair": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.ClaimFair(ctx, 1)
		return err
	},
	"Exchange": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Exchange(ctx, taskstore.Ended{Completed: []taskstore.Task{{ID: 1}}}, taskstore.Filter{}, 1)
		return err
	},
	"Heartbeat": func(ctx context.Context, s *taskstore.Store) error {
		return s.Heartbeat(ctx, []taskstore.Task{{ID: 1}})
	},
	"Complete": func(ctx context.Context, s *taskstore.Store) error {
		return s.Complete(ctx, taskstore.Task{ID: 1})
	},
	"Fail": func(ctx context.Context, s *taskstore.Store) error {
		return s.Fail(ctx, taskstore.Task{ID: 1})
	},
	"Release": func(ctx context.Context, s *taskstore.Store) error {
		return s.Release(ctx, taskstore.Task{ID: 1})
	},
	"FailWith": func(ctx context.Context, s *taskstore.Store) error {
		return s.FailWith(ctx, taskstore.Failure{Task: taskstore.Task{ID: 1}, Reason: "reason"})
	},
	"Retry": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Retry(ctx, 1)
		return err
	},
	"RetryDue": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.RetryDue(ctx, taskstore.Filter{}, 1)
		return err
	},
	"RequeueStale": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.RequeueStale(ctx, taskstore.Filter{}, time.Minute, 1)
		return err
	},
	"DeleteFinished": func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.DeleteFinished(ctx, time.Now(), 1)
		return err
	},
}

// The network goes mute: no answer, no reset. Each method returns all the same, when its context's deadline has come.
// When the network speaks again, so does the pool.
func TestMuteNetwork(t *testing.T) {
	t.Parallel()
	server := startPrimary(t)
	net := startNetwork(t, server)

	kind := reflect.TypeFor[*taskstore.Store]()
	for i := range kind.NumMethod() {
		m := kind.Method(i)
		if m.Type.NumIn() > 1 && m.Type.In(1) == reflect.TypeFor[context.Context]() && methods[m.Name] == nil {
			t.Errorf("method %s is not tested", m.Name)
		}
	}

	stores := map[string]*taskstore.Store{}
	for name, call := range methods {
		stores[name] = taskstore.New(net.connect(t, server, 2))
		_ = call(t.Context(), stores[name]) // prepares its statements; what it finds does not matter
	}
	shared := taskstore.New(net.connect(t, server, 8))
	if _, err := shared.Create(t.Context(), storetest.NewTask(1)); err != nil {
		t.Fatal(err)
	}

	speak := net.mute()
	defer speak()
	var calls sync.WaitGroup
	for name, call := range methods {
		calls.Go(func() {
			returns := func(when string) {
				late(t, name+when, func(ctx context.Context) error { return call(ctx, stores[name]) })
			}
			returns(" when the network goes mute")
			returns(" when there is no connection any more")
		})
	}
	for range 100 { // most of these share statements
		calls.Go(func() {
			late(t, "a shared Create", func(ctx context.Context) error {
				_, err := shared.Create(ctx, storetest.NewTask(1))
				return err
			})
		})
	}
	calls.Wait() // the network is still mute

	speak()
	for name, s := range stores {
		eventually(t, name+" when the network speaks again", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return !errors.Is(methods[name](ctx, s), context.DeadlineExceeded)
		})
	}
}

// late runs a call that can end only by its deadline.
func late(t *testing.T, what string, call func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := call(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
		t.Errorf("%s: %v; want its deadline", what, err)
	}
}

// A transaction of a client that is no longer heard holds its rows for no longer than the server is told to wait.
func TestMuteTransactionEnds(t *testing.T) {
	t.Parallel()
	server := startPrimary(t)
	net := startNetwork(t, server)
	store := taskstore.New(connect(t, asIs, server))
	task, err := store.Create(t.Context(), storetest.NewTask(1))
	server.must(err)

	pool := net.connect(t, server, 1)
	tx, err := pool.Begin(t.Context())
	server.must(err)
	_, err = store.WithTx(tx).SetStatus(t.Context(), task, taskstore.Completed)
	server.must(err)
	// The last statement before the silence: from here on the client may not be late.
	_, err = tx.Exec(t.Context(), `SET LOCAL idle_in_transaction_session_timeout = '2s'`)
	server.must(err)
	speak := net.mute()
	defer speak()

	// It waits for the row, gets it, and finds it as it was.
	if _, err := store.SetStatus(t.Context(), task, taskstore.Failed); err != nil {
		t.Error(err)
	}
	late(t, "the commit", tx.Commit)
}
