package main

import (
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/cli/clitest"
	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestAFlagGoesBeforeItsVariable(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	got := runWith(t, url, []string{"TASKMIGRATE_TO=2", "TASKMIGRATE_OUTPUT=json"}, "up")
	if applied := parse(t, got).inState(migrate.StateApplied); len(applied) != 2 {
		t.Errorf("TASKMIGRATE_TO=2 applied %v", applied)
	}
	got = runWith(t, url, []string{"TASKMIGRATE_TO=2", "TASKMIGRATE_OUTPUT=json"}, "up", "--to", "3")
	if applied := parse(t, got).inState(migrate.StateApplied); len(applied) != 3 {
		t.Errorf("--to 3 applied %v", applied)
	}
	got = runWith(t, url, []string{"TASKMIGRATE_WAIT=soon"}, "status")
	if got.code != exitUsage || !strings.Contains(got.stderr, "TASKMIGRATE_WAIT") {
		t.Errorf("a bad variable: exit %d, %q", got.code, got.stderr)
	}
	got = runWith(t, url, []string{"TASKMIGRATE_OUTPUT=json"}, "no-such-command")
	if r := parse(t, got); r.Error == nil || r.ExitCode != exitUsage {
		t.Errorf("an unknown command in JSON: %+v", r)
	}
}

func TestDatabaseURLIsFoundInOrder(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	dead := "postgres://me@" + clitest.ClosedPort(t) + "/x"
	for _, test := range []struct {
		name string
		env  []string
		args []string
	}{
		{"the flag first", []string{"TASKMIGRATE_DATABASE_URL=" + dead}, []string{"--database-url", url}},
		{"then its variable", []string{"TASKMIGRATE_DATABASE_URL=" + url, "DATABASE_URL=" + dead}, nil},
		{"then DATABASE_URL", []string{"TASKMIGRATE_DATABASE_URL=", "DATABASE_URL=" + url}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := runWith(t, "", test.env, append([]string{"status"}, test.args...)...)
			if got.code != exitDone {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
}

// A flag that another command has is no typing error.
func TestFlagOfAnotherCommand(t *testing.T) {
	t.Parallel()
	got := must(t, exitUsage, "", "verify", "--check")
	if !strings.Contains(got.stderr, "--check is a flag of `taskmigrate status`") {
		t.Errorf("says %q", got.stderr)
	}
	got = must(t, exitUsage, "", "status", "--chekc")
	if !strings.Contains(got.stderr, "did you mean --check?") {
		t.Errorf("says %q", got.stderr)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	script := must(t, exitDone, "", "completion", "bash")
	if !strings.Contains(script.stdout, "__start_taskmigrate") {
		t.Errorf("no completion script: %.200s", script.stdout)
	}
	versions := must(t, exitDone, "", "__complete", "up", "--to", "")
	if !strings.Contains(versions.stdout, "3\t00003_add_idx_task.sql") {
		t.Errorf("--to is not completed with versions: %s", versions.stdout)
	}
}
