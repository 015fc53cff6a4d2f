package work

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// childDatabase, if set, makes TestLeaseCrossesAProcessBoundary the other process: the worker that is
// handed a task as JSON, and nothing else.
const childDatabase = "TASKSTORE_TEST_CHILD_DATABASE"

func TestLeaseCrossesAProcessBoundary(t *testing.T) {
	t.Parallel()
	if url := os.Getenv(childDatabase); url != "" {
		finishFromStdin(t, url)
		return
	}
	b := storetest.Setup(t)
	b.Create(t, 1)
	task := storetest.Claim(t, b.Store, 1)[0]
	handed, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := child(t, b, handed); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	row := storetest.StoredTask(t, b.Pool, task.ID)
	if want := storetest.Moved(t, task, row, taskstore.Completed); row != want {
		t.Errorf("stored %+v, want %+v", row, want)
	}

	// A task that is handed over twice is finished once.
	out, err := child(t, b, handed)
	if err == nil || !strings.Contains(out, "conflict") {
		t.Errorf("the second worker said %v, not that there is a conflict:\n%s", err, out)
	}
	if again := storetest.StoredTask(t, b.Pool, task.ID); again != row {
		t.Errorf("the second worker made %+v of %+v", again, row)
	}
}

// child runs this test in a process of its own with that input.
func child(t *testing.T, b *storetest.Bundle, stdin []byte) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLeaseCrossesAProcessBoundary$", "-test.count=1")
	cmd.Env = append(os.Environ(), childDatabase+"="+b.URL, "TASKSTORE_TEST_DATABASE_URL="+b.URL,
		"TASKSTORE_TEST_POSTGRES=url")
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// finishFromStdin keeps alive and completes the task that it reads.
func finishFromStdin(t *testing.T, url string) {
	t.Helper()
	var task taskstore.Task
	if err := json.NewDecoder(os.Stdin).Decode(&task); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	store, tasks := storetest.NewStore(conn), []taskstore.Task{task}
	if err := store.Heartbeat(t.Context(), tasks); err != nil {
		t.Fatal(err)
	}
	if err := store.Complete(t.Context(), tasks...); err != nil {
		t.Fatal(err)
	}
}
