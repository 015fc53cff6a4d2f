package taskstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// TestMain runs the examples on a real, migrated database. The server and the migrator are reached as
// processes and not as packages: an import here would reach the go.sum of every module that imports
// package taskstore.
func TestMain(m *testing.M) {
	if os.Getenv("TASKSTORE_EXAMPLES") != "" {
		os.Exit(m.Run())
	}
	const script = `go run ../cmd/taskmigrate up >/dev/null && exec "$0" "$@"`
	args := append([]string{"run", "../internal/pgserver/withpg", "sh", "-c", script}, os.Args...)
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "TASKSTORE_EXAMPLES=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "taskstore_test:", err)
		os.Exit(1)
	}
}

var (
	ctx   = context.Background()
	pool  = must(pgxpool.New(ctx, os.Getenv("DATABASE_URL")))
	store = taskstore.New(pool)
)

// must keeps the examples short; a program handles its errors.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ExampleStore_Create() {
	type argument struct {
		Project string `json:"project"`
	}
	t, err := store.Create(ctx, taskstore.NewTask{
		IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5,
		Argument: must(taskstore.EncodeArgument(argument{Project: "alpha"})),
	})
	if err != nil {
		panic(err)
	}
	arg := must(taskstore.DecodeArgument[argument](t))
	fmt.Println(t.Status, t.Argument, arg.Project)
	// Output: pending {"project":"alpha"} alpha
}

func ExampleStore_CreateMany() {
	tasks := make([]taskstore.NewTask, 1000)
	for i := range tasks {
		tasks[i] = taskstore.NewTask{IntegrationID: 10, Argument: fmt.Sprint(i)}
	}
	ids := must(store.CreateMany(ctx, tasks)) // all or none
	last := must(store.Get(ctx, ids[999]))
	fmt.Println(len(ids), last.Argument)
	// Output: 1000 999
}

func ExampleStore_List() {
	must(store.CreateMany(ctx, []taskstore.NewTask{
		{UserID: 20, Argument: "a"}, {UserID: 20, Argument: "b"}, {UserID: 20, Argument: "c"},
	}))
	page := must(store.List(ctx, taskstore.ByUser(20), taskstore.Page{Limit: 2}))
	fmt.Println(page[0].Argument, page[1].Argument)
	page = must(store.List(ctx, taskstore.ByUser(20), taskstore.Page{Limit: 2, Before: page[1].ID}))
	fmt.Println(page[0].Argument)
	// Output:
	// c b
	// a
}

func ExampleStore_All() {
	must(store.CreateMany(ctx, []taskstore.NewTask{{AccountID: 30, Argument: "a"}, {AccountID: 30, Argument: "b"}}))
	for t, err := range store.All(ctx, taskstore.ByAccount(30).WithStatus(taskstore.Pending)) {
		if err != nil {
			panic(err)
		}
		fmt.Println(t.Argument)
	}
	// Output:
	// b
	// a
}

func ExampleStore_Update() {
	t := must(store.Create(ctx, taskstore.NewTask{Argument: "first"}))
	stale := t

	t.Argument = "second"
	t = must(store.Update(ctx, t))

	_, err := store.Update(ctx, stale) // whoever still holds the old version
	fmt.Println(t.Argument, errors.Is(err, taskstore.ErrConflict))
	// Output: second true
}

func ExampleStore_WithTx() {
	// The task and whatever else belongs to it become visible together, or not at all.
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		_, err := store.WithTx(tx).Create(ctx, taskstore.NewTask{TemplateID: 40, Argument: "{}"})
		return err
	})
	fmt.Println(err, must(store.Count(ctx, taskstore.ByTemplate(40))))
	// Output: <nil> 1
}

func ExampleStore_Claim() {
	batch := taskstore.Batch{IntegrationID: 50, ClientID: 51, TemplateID: 52}
	must(store.CreateMany(ctx, []taskstore.NewTask{
		{IntegrationID: 50, ClientID: 51, TemplateID: 52, Argument: "a"},
		{IntegrationID: 50, ClientID: 51, TemplateID: 52, Argument: "b"},
	}))

	tasks := must(store.ClaimBy(ctx, taskstore.ByBatch(batch), 10)) // Claim takes from all batches
	for _, t := range tasks {
		fmt.Println(t.Argument, t.Status)
	}
	// Long work renews its leases in place.
	if err := store.Heartbeat(ctx, tasks); err != nil {
		panic(err)
	}
	if err := store.Complete(ctx, tasks...); err != nil {
		panic(err)
	}
	// Once more is too late: the leases have ended.
	var conflict *taskstore.ConflictError
	fmt.Println(errors.As(store.Fail(ctx, tasks...), &conflict), len(conflict.IDs))
	// Output:
	// a processing
	// b processing
	// true 2
}

func ExampleStore_RequeueStale() {
	batch := taskstore.Batch{IntegrationID: 60, ClientID: 61, TemplateID: 62}
	must(store.Create(ctx, taskstore.NewTask{IntegrationID: 60, ClientID: 61, TemplateID: 62, Argument: "a"}))
	dead := must(store.ClaimBy(ctx, taskstore.ByBatch(batch), 1)) // by a worker that dies

	// A minute in place of a millisecond leaves workers alone that were silent for less.
	for len(must(store.RequeueStale(ctx, taskstore.ByBatch(batch), time.Millisecond, 1000))) == 0 {
	}

	again := must(store.ClaimBy(ctx, taskstore.ByBatch(batch), 1))
	fmt.Println(again[0].ID == dead[0].ID, errors.Is(store.Complete(ctx, dead...), taskstore.ErrConflict))
	// Output: true true
}

func ExampleStore_DeleteFinished() {
	t := must(store.Create(ctx, taskstore.NewTask{Argument: "{}"}))
	t = must(store.SetStatus(ctx, t, taskstore.Completed))

	// What ended more than thirty days ago: not this one.
	month := 30 * 24 * time.Hour
	must(store.DeleteFinished(ctx, time.Now().Add(-month), 10_000))
	fmt.Println(must(store.Get(ctx, t.ID)).Status)
	// Output: completed
}
