//go:build unix

package access

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// operator is the command tasks.
type operator struct{ binary string }

func buildOperator(t *testing.T) operator {
	t.Helper()
	o := operator{filepath.Join(t.TempDir(), "tasks")}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.binary, "../../../cmd/tasks").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return o
}

// run returns what the command says, with its exit code.
func (o operator) run(ctx context.Context, url, args string) (said string, code int) {
	cmd := exec.CommandContext(ctx, o.binary, strings.Fields(args)...)
	cmd.Env = []string{"DATABASE_URL=" + url}
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

// What only reads needs tasks_read, and what changes tasks needs tasks_service.
func TestOperatorNeedsFewRights(t *testing.T) {
	t.Parallel()
	r := setupRoles(t)
	o := buildOperator(t)
	reader, service := r.as(t, "tasks_read"), r.as(t, "tasks_service")
	r.CreateMany(t, 1)
	for _, args := range []string{"stats", "list", "get 1"} {
		if said, code := o.run(t.Context(), reader, args); code != 0 {
			t.Errorf("tasks_read: %s: %d, %s", args, code, said)
		}
	}
	for _, args := range []string{
		"retry --all", "release --all", "requeue --silent-for 1ms", "delete-finished --ended-before 2100-01-01",
	} {
		for _, st := range []taskstore.Status{taskstore.Processing, taskstore.Failed} {
			r.Row(t, st, 1, 1)
		}
		if said, code := o.run(t.Context(), reader, args); code != 0 || !strings.HasPrefix(said, "would ") {
			t.Errorf("tasks_read: %s: %d, %s", args, code, said)
		}
		if said, code := o.run(t.Context(), reader, args+" --yes"); code != 1 || !strings.Contains(said, "42501") {
			t.Errorf("tasks_read: %s --yes: %d, %s", args, code, said)
		}
		if said, code := o.run(t.Context(), service, args+" --yes"); code != 0 {
			t.Errorf("tasks_service: %s --yes: %d, %s", args, code, said)
		}
	}
}

// PgBouncer refuses the limits, and the error says so. Without them all goes through it.
func TestOperatorThroughPgBouncer(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	o := buildOperator(t)
	url := b.Through(t, 2, 0).Mode("cache_describe")
	b.In(t, taskstore.Failed)
	if said, code := o.run(t.Context(), url, "stats"); code != 1 ||
		!strings.Contains(said, "--statement-timeout 0 --lock-timeout 0") {
		t.Errorf("%d, %s", code, said)
	}
	for _, args := range []string{"stats", "list", "get 1", "retry --all --yes", "requeue --yes"} {
		if said, code := o.run(t.Context(), url, args+" --statement-timeout 0 --lock-timeout 0"); code != 0 {
			t.Errorf("%s: %d, %s", args, code, said)
		}
	}
}
