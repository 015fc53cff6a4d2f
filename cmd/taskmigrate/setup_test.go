package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"slices"
	"testing"

	"github.com/tasklane/tasks/internal/cli/clitest"
)

// binary is the command as it is shipped, built once for all tests.
var binary string

func TestMain(m *testing.M) { clitest.Main(m, &binary) }

// outcome is what a process has left.
type outcome struct {
	code           exitCode
	stdout, stderr string
}

// command is a process with that database and no other settings in its environment.
func command(t *testing.T, url string, args ...string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Env = []string{"TASKMIGRATE_DATABASE_URL=" + url}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	return cmd, &stdout, &stderr
}

// run runs the command to its end.
func run(t *testing.T, url string, args ...string) outcome {
	t.Helper()
	return runWith(t, url, nil, args...)
}

func runWith(t *testing.T, url string, env []string, args ...string) outcome {
	t.Helper()
	cmd, stdout, stderr := command(t, url, args...)
	cmd.Env = append(cmd.Env, env...)
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return outcome{exitCode(cmd.ProcessState.ExitCode()), stdout.String(), stderr.String()}
}

// must runs the command and wants that exit code.
func must(t *testing.T, code exitCode, url string, args ...string) outcome {
	t.Helper()
	got := run(t, url, args...)
	if got.code != code {
		t.Fatalf("taskmigrate %v: exit %d, want %d\n%s%s", args, got.code, code, got.stdout, got.stderr)
	}
	return got
}

// parse reads the report, and holds it to the keys that scripts rely on.
func parse(t *testing.T, out outcome) report {
	t.Helper()
	var keys map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewBufferString(out.stdout))
	if err := decoder.Decode(&keys); err != nil {
		t.Fatalf("standard output is not JSON: %v\n%s%s", err, out.stdout, out.stderr)
	}
	if decoder.More() {
		t.Errorf("more than one object: %s", out.stdout)
	}
	for _, key := range []string{"ok", "command", "exit_code", "version", "migrations", "findings", "error"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("no %q in %s", key, out.stdout)
		}
	}
	for _, key := range []string{"migrations", "findings"} {
		if string(keys[key]) == "null" {
			t.Errorf("%q is null", key)
		}
	}
	var r report
	if err := json.Unmarshal([]byte(out.stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.ExitCode != out.code || r.OK != (out.code == 0) {
		t.Errorf("report says ok %v, exit_code %d; the process ended with %d", r.OK, r.ExitCode, out.code)
	}
	return r
}

// inState lists the versions in a state.
func (r report) inState(state string) []int64 {
	var list []int64
	for _, m := range r.Migrations {
		if m.State == state {
			list = append(list, m.Version)
		}
	}
	slices.Sort(list)
	return list
}
