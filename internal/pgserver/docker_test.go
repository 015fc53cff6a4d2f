//go:build unix

package pgserver

import (
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// needEngine skips where no engine answers, unless Docker was asked for by TASKSTORE_TEST_POSTGRES.
func needEngine(t *testing.T) *dockertest.Pool {
	t.Helper()
	pool, err := dockertest.NewPool("")
	if err == nil {
		err = pool.Client.PingWithContext(t.Context())
	}
	switch {
	case err == nil:
		return pool
	case os.Getenv("TASKSTORE_TEST_POSTGRES") == "docker":
		t.Fatal(err)
	default:
		t.Skip("no Docker engine answers, so this was not tried: ", err)
	}
	return nil
}

// containers returns the ids of ours that publish the server's port.
func containers(t *testing.T, pool *dockertest.Pool, serverURL string) string {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pool.Client.ListContainers(docker.ListContainersOptions{
		All: true, Filters: map[string][]string{"name": {"taskstore-postgres-"}}})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range all {
		for _, p := range c.Ports {
			if strconv.FormatInt(p.PublicPort, 10) == u.Port() {
				ids = append(ids, c.ID)
			}
		}
	}
	return strings.Join(ids, " ")
}

func TestDockerServes(t *testing.T) {
	t.Parallel()
	pool := needEngine(t)
	srv, err := start(t.Context(), config{force: "docker", image: image()},
		newOptions([]Option{Setting("max_connections", "33")}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	if u, _ := url.Parse(srv.URL); u.Hostname() != "127.0.0.1" || srv.Source != "docker" {
		t.Errorf("%s server on %s", srv.Source, u.Host)
	}
	conn := connect(t, srv.URL)
	for name, want := range map[string]string{"max_connections": "33", "fsync": "off"} {
		if got := show(t, conn, name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
	if containers(t, pool, srv.URL) == "" {
		t.Fatal("it runs in no container of ours")
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return containers(t, pool, srv.URL) })
}

// A container ends with the process that started it, as a local cluster does.
func TestDockerLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	pool := needEngine(t)
	cmd, _, line := spawn(t, "killed", "TASKSTORE_TEST_POSTGRES=docker")
	serverURL := line()
	connect(t, serverURL)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, func() string { return containers(t, pool, serverURL) })
}

func TestDockerErrors(t *testing.T) {
	t.Parallel()
	_, _, line := spawn(t, "killed", "TASKSTORE_TEST_POSTGRES=docker", "DOCKER_HOST=unix:///nowhere")
	if got := line(); !strings.Contains(got, "docker engine: not found") || !strings.Contains(got, "/nowhere") {
		t.Errorf("without an engine: %s", got)
	}

	needEngine(t)
	const absent = "taskstore.invalid/no-such-image:1"
	srv, err := start(t.Context(), config{force: "docker", image: absent}, newOptions(nil))
	if err == nil {
		_ = srv.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "docker image "+absent+" is not here and cannot be pulled") {
		t.Errorf("without the image: %v", err)
	}
}

// If the server fails to start, the error says why, and its container is removed.
func TestDockerStartThatFailsShowsTheLog(t *testing.T) {
	t.Parallel()
	needEngine(t)
	srv, err := start(t.Context(), config{force: "docker", image: image()},
		newOptions([]Option{Setting("shared_buffers", "plenty")}))
	if err == nil {
		_ = srv.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("no cause in: %v", err)
	}
}

func TestSplitImage(t *testing.T) {
	t.Parallel()
	for image, want := range map[string][2]string{
		"postgres":                            {"postgres", "latest"},
		"postgres:17":                         {"postgres", "17"},
		"registry.example:5000/team/postgres": {"registry.example:5000/team/postgres", "latest"},
		"registry.example:5000/team/pg:17.2":  {"registry.example:5000/team/pg", "17.2"},
	} {
		if repository, tag := splitImage(image); [2]string{repository, tag} != want {
			t.Errorf("%s: %s and %s", image, repository, tag)
		}
	}
}
