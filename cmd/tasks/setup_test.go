package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/cli/clitest"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// binary is the command as it is shipped, built once for all tests.
var binary string

func TestMain(m *testing.M) { clitest.Main(m, &binary) }

// outcome is what a process has left.
type outcome struct {
	code           exitCode
	stdout, stderr string
}

// command is a process with that database and nothing else in its environment.
func command(t *testing.T, url, args string) (*exec.Cmd, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, strings.Fields(args)...)
	cmd.Env = []string{"DATABASE_URL=" + url}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	return cmd, &stdout, &stderr
}

// must runs the command, its arguments separated by spaces, and wants that exit code.
func must(t *testing.T, code exitCode, url, args string) outcome {
	t.Helper()
	cmd, stdout, stderr := command(t, url, args)
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	got := outcome{exitCode(cmd.ProcessState.ExitCode()), stdout.String(), stderr.String()}
	if got.code != code {
		t.Fatalf("tasks %s: exit %d, want %d\n%s%s", args, got.code, code, got.stdout, got.stderr)
	}
	return got
}

// mustJSON is must with --output json. The report is the one object on standard output.
func mustJSON(t *testing.T, code exitCode, url, args string) report {
	t.Helper()
	got := must(t, code, url, args+" --output json")
	decoder := json.NewDecoder(strings.NewReader(got.stdout))
	var r report
	if err := decoder.Decode(&r); err != nil || decoder.More() || got.stderr != "" {
		t.Fatalf("tasks %s: %v\n%s%s", args, err, got.stdout, got.stderr)
	}
	if r.ExitCode != code || r.OK != (code == exitDone) || (r.Error == nil) != r.OK || r.Version == "" {
		t.Errorf("tasks %s: exit %d, but the report is %s", args, code, got.stdout)
	}
	return r
}

// readOnly is the URL of a session that cannot write.
func readOnly(t *testing.T, url string) string {
	t.Helper()
	return dbtest.With(t, url, "default_transaction_read_only", "on")
}

func taskIDs(ts []task) []int64 {
	ids := make([]int64, len(ts))
	for i, t := range ts {
		ids[i] = t.ID
	}
	return ids
}
