package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// The container image holds one binary that migrates a database, runs as nobody, and is small.
func TestContainerImage(t *testing.T) {
	t.Parallel()
	if os.Getenv("TASKSTORE_TEST_POSTGRES") != "docker" {
		t.Skip("only where the tests run with a Docker engine: make docker-test")
	}
	const image = "taskmigrate:test"
	build := exec.CommandContext(t.Context(), "make", "-C", "../..", "image", "IMAGE="+image)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "image", "rm", image).Run() })

	var facts []struct {
		Size   int64
		Config struct{ User string }
	}
	if err := json.Unmarshal([]byte(docker(t, "", "image", "inspect", image)), &facts); err != nil {
		t.Fatal(err)
	}
	if size := facts[0].Size; size > 20e6 {
		t.Errorf("the image has %d bytes, more than 20 MB", size)
	}
	if user := facts[0].Config.User; user != "65532:65532" {
		t.Errorf("it runs as %q", user)
	}
	shell := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--entrypoint", "/bin/sh", image)
	if err := shell.Run(); err == nil {
		t.Error("it has a shell")
	}

	url := dbtest.New(t)
	in := func(args ...string) string {
		return docker(t, url, append([]string{"run", "--rm", "--read-only", "--cap-drop=ALL", "--network=host",
			"--env=DATABASE_URL", image}, args...)...)
	}
	in("up")
	in("status", "--check")
	in("verify")
	if said := in("version"); !strings.Contains(said, "newest migration") {
		t.Errorf("version says %q", said)
	}
	t.Logf("%d bytes", facts[0].Size)
}

// docker runs a command of the engine's client, with that DATABASE_URL, and returns its standard output.
func docker(t *testing.T, url string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("docker %s: %v\n%s%s", strings.Join(args, " "), err, out, failed.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
