package faults

import (
	"context"
	"strconv"
	"time"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// method is a write of the store, called so that it changes all tasks of a scene, or the second one.
type method struct {
	name      string           // in the table of docs/store.md
	statement string           // the one that writes, by its name in queries/
	status    taskstore.Status // of the scene's tasks
	creates   int              // as many tasks, instead of changing some
	keyed     bool             // those have keys
	one       bool             // it changes only the second task
	call      func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error
}

// poison is the argument of the second task of each scene and each call: what refuses a row refuses that one.
const poison = "poison"

var sceneBatch = taskstore.Batch{IntegrationID: 1, ClientID: 1, TemplateID: 1}

// methods are all writes. Some appear twice, where size or input makes a difference to the statement.
var methods = []method{
	{
		name: "Create", statement: "CreateTask", creates: 1,
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.Create(ctx, taskstore.NewTask{Argument: poison})
			return err
		},
	},
	{
		name: "Create with a Key", statement: "CreateKeyedTask", creates: 1, keyed: true,
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.Create(ctx, taskstore.NewTask{Argument: poison, Key: "key"})
			return err
		},
	},
	createMany("CreateMany", "CreateTasks", 3, false),
	createMany("CreateMany", "CreateTasks", 5_000, false), // more than one packet
	createMany("CreateMany with Keys", "CreateKeyedTasks", 3, true),
	createMany("CreateMany with Keys", "CreateKeyedTasks", 1_000, true),
	{
		name: "Update", statement: "UpdateTask", one: true,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			ts[1].AccountID++
			_, err := s.Update(ctx, ts[1])
			return err
		},
	},
	{
		name: "SetStatus", statement: "SetTaskStatus", one: true,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.SetStatus(ctx, ts[1], taskstore.Failed)
			return err
		},
	},
	{
		name: "Delete", statement: "DeleteTask", one: true,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			return s.Delete(ctx, ts[1].ID)
		},
	},
	{
		name: "Claim", statement: "ClaimTasks",
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.Claim(ctx, len(ts))
			return err
		},
	},
	claimBy("ClaimTasksByBatch", taskstore.ByBatch(sceneBatch)),
	claimBy("ClaimTasksByIntegration", taskstore.ByIntegration(sceneBatch.IntegrationID)),
	claimBy("ClaimTasksByTemplate", taskstore.ByTemplate(sceneBatch.TemplateID)),
	{
		name: "ClaimFair", statement: "ClaimTasksOfIntegrations",
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.ClaimFair(ctx, len(ts))
			return err
		},
	},
	{
		name: "Heartbeat", statement: "HeartbeatTasks", status: taskstore.Processing,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error { return s.Heartbeat(ctx, ts) },
	},
	ending("Complete", (*taskstore.Store).Complete),
	ending("Fail", (*taskstore.Store).Fail),
	ending("Release", (*taskstore.Store).Release),
	{
		name: "FailWith", statement: "FailTasks", status: taskstore.Processing,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			return s.FailWith(ctx, failures(ts)...)
		},
	},
	{
		name: "Exchange", statement: "ClaimTasks", status: taskstore.Processing, // the last of those that it sends at once
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			ended := taskstore.Ended{Completed: ts[:1], Failed: failures(ts[1:2]), Released: ts[2:]}
			_, err := s.Exchange(ctx, ended, taskstore.Filter{}, 1)
			return err
		},
	},
	{
		name: "RequeueStale", statement: "RequeueTasks", status: taskstore.Processing,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.RequeueStale(ctx, taskstore.Filter{}, time.Hour, len(ts))
			return err
		},
	},
	{
		name: "Retry", statement: "RetryTasks", status: taskstore.Failed,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.Retry(ctx, storetest.IDs(ts)...)
			return err
		},
	},
	{
		name: "RetryDue", statement: "RetryDueTasks", status: taskstore.Failed,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.RetryDue(ctx, taskstore.Filter{}, len(ts))
			return err
		},
	},
	{
		name: "DeleteFinished", statement: "DeleteFinished", status: taskstore.Completed,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.DeleteFinished(ctx, storetest.Cutoff, len(ts))
			return err
		},
	},
}

func createMany(name, statement string, n int, keyed bool) method {
	ts := make([]taskstore.NewTask, n)
	for i := range ts {
		if keyed {
			ts[i].Key = strconv.Itoa(i)
		}
	}
	ts[1].Argument = poison
	return method{
		name: name, statement: statement, creates: n, keyed: keyed,
		call: func(ctx context.Context, s *taskstore.Store, _ []taskstore.Task) error {
			_, err := s.CreateMany(ctx, ts)
			return err
		},
	}
}

func ending(name string, end func(*taskstore.Store, context.Context, ...taskstore.Task) error) method {
	return method{
		name: name, statement: "FinishTasks", status: taskstore.Processing,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error { return end(s, ctx, ts...) },
	}
}

func claimBy(statement string, f taskstore.Filter) method {
	return method{
		name: "ClaimBy", statement: statement,
		call: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) error {
			_, err := s.ClaimBy(ctx, f, len(ts))
			return err
		},
	}
}

func failures(ts []taskstore.Task) []taskstore.Failure {
	fs := make([]taskstore.Failure, len(ts))
	for i, t := range ts {
		fs[i] = taskstore.Failure{Task: t, Reason: "a reason", RetryIn: time.Hour}
	}
	return fs
}
