package main

import (
	"os"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/cli/clitest"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/storetest"
)

const (
	password = "correct-horse"
	user     = "postgres://me:" + password
)

func TestFailuresAreOneLineAndHideThePassword(t *testing.T) {
	t.Parallel()
	empty := dbtest.New(t)
	nobody := clitest.ClosedPort(t)
	for _, test := range []struct {
		name, url, args string
		code            exitCode
		want            string
	}{
		{"nobody listens", user + "@" + nobody + "/x", "stats", exitFailed, "cannot connect to " + nobody},
		{"malformed URL", user + "@host:port/x", "stats", exitUsage, "database URL"},
		{"@ in the password", user + "@s@host.invalid/x", "list", exitUsage, "%40"},
		{"URL as an argument", empty, "get " + user + "@host/x", exitUsage, "no id"},
		{"URL as a command", empty, user + "@host/x", exitUsage, "no such command"},
		{"URL as a status", empty, "list --status " + user + "@host/x", exitUsage, "--status is no place"},
		{"URL as an id", empty, "list --user " + user + "@host/x", exitUsage, "--user takes a number"},
		{"no command", empty, "", exitUsage, "no command"},
		{"unknown command", empty, "stast", exitUsage, "did you mean stats"},
		{"flag of another command", empty, "stats --yes", exitUsage, "--yes is a flag of `tasks "},
		{"missing flag", empty, "delete-finished", exitUsage, "--ended-before is missing"},
		{"negative limit", empty, "retry --all --limit -1", exitUsage, "--limit"},
		{"unknown format", empty, "stats --output yaml", exitUsage, "--output"},
		{"no table", empty, "stats", exitFailed, "taskmigrate up"},
		{"no table to change", empty, "retry 1", exitFailed, "taskmigrate up"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := must(t, test.code, test.url, test.args)
			if strings.Count(text.stderr, "\n") != 1 || !strings.Contains(text.stderr, test.want) || text.stdout != "" {
				t.Errorf("want one line with %q, got %q, and %q", test.want, text.stderr, text.stdout)
			}
			all := text.stderr
			if test.name != "unknown format" {
				got := mustJSON(t, test.code, test.url, test.args)
				if !strings.Contains(got.Error.Message+got.Error.Hint, test.want) {
					t.Errorf("want an error with %q, got %+v", test.want, got.Error)
				}
				all += got.Error.Message + got.Error.Hint
			}
			if strings.Contains(all, password) {
				t.Errorf("the password is in %q", all)
			}
		})
	}
}

// Flags that every command has can be variables. Those that select tasks cannot: one that was forgotten in the
// environment would select others.
func TestVariables(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 2)
	cmd, stdout, stderr := command(t, user+"@host.invalid/x", "list")
	cmd.Env = append(cmd.Env, "TASKS_DATABASE_URL="+b.URL, "TASKS_OUTPUT=json", "TASKS_USER=7")
	if err := cmd.Run(); err != nil || !strings.Contains(stdout.String(), `"id":2`) {
		t.Errorf("%v: %s%s", err, stdout, stderr)
	}
	cmd, stdout, stderr = command(t, b.URL, "list")
	cmd.Env = append(cmd.Env, "TASKS_LOCK_TIMEOUT=soon")
	if err := cmd.Run(); err == nil || !strings.Contains(stderr.String(), "TASKS_LOCK_TIMEOUT does not hold") {
		t.Errorf("%v: %s%s", err, stdout, stderr)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if script := must(t, exitDone, "", "completion "+shell).stdout; !strings.Contains(script, "_tasks") {
			t.Errorf("no completion script for %s: %.200s", shell, script)
		}
	}
	cmd, stdout, _ := command(t, "", "__complete list --status")
	cmd.Args = append(cmd.Args, "")
	if err := cmd.Run(); err != nil || !strings.HasPrefix(stdout.String(), "pending\nprocessing\ncompleted\nfailed\n") {
		t.Errorf("%v: --status is completed with %s", err, stdout)
	}
}

// The help of each command says what the exit codes mean or has an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	if help := must(t, exitDone, "", "--help").stdout; !strings.Contains(help, "  5  gave up waiting for a lock") {
		t.Errorf("says %s", help)
	}
	root := (&app{stdout: os.Stdout}).rootCommand()
	for _, cmd := range root.Commands() {
		help := must(t, exitDone, "", cmd.Name()+" --help").stdout
		if cmd.Name() != "version" && !strings.Contains(help, "Examples:\n  tasks "+cmd.Name()) {
			t.Errorf("%s has no example:\n%s", cmd.Name(), help)
		}
	}
}
