package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/ory/dockertest/v3"
	"github.com/ory/dockertest/v3/docker"
)

// containerLife bounds, in seconds, what an engine that outlives all our other care is left with.
const containerLife = 2 * 60 * 60

// startDocker runs the image in a container whose port is bound to this machine's loopback alone.
func startDocker(ctx context.Context, c config, o options) (*Server, error) {
	pool, err := dockertest.NewPool("")
	if err == nil {
		err = pool.Client.PingWithContext(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("docker engine: %w: %w", errNone, err)
	}

	password := rand.Text()
	repository, tag := splitImage(c.image)
	cmd := []string{"postgres"}
	for _, s := range o.settings {
		cmd = append(cmd, "-c", s[0]+"="+s[1])
	}
	container, err := pool.RunWithOptions(&dockertest.RunOptions{
		Repository:   repository,
		Tag:          tag,
		Cmd:          cmd,
		Env:          []string{"POSTGRES_PASSWORD=" + password},
		Labels:       map[string]string{"taskstore": "test"},
		PortBindings: map[docker.Port][]docker.PortBinding{"5432/tcp": {{HostIP: "127.0.0.1"}}},
	}, func(host *docker.HostConfig) {
		host.AutoRemove = true
		host.PublishAllPorts = false
	})
	if err != nil {
		return nil, fmt.Errorf("docker image %s (set TASKSTORE_TEST_POSTGRES_IMAGE for another): %w", c.image, err)
	}
	release := tie(container)
	stop := func() error {
		defer release()
		if err := pool.Purge(container); err != nil {
			return fmt.Errorf("pgserver: removing the container: %w", err)
		}
		return nil
	}
	if err := container.Expire(containerLife); err != nil {
		return nil, errors.Join(err, stop())
	}

	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Path: "/postgres",
		Host: container.GetHostPort("5432/tcp"), RawQuery: "sslmode=disable"}
	if err := accepting(ctx, u.String()); err != nil {
		logs := containerLog(pool, container)
		return nil, errors.Join(fmt.Errorf("docker image %s: %w\n%s", c.image, err, logs), stop())
	}
	return &Server{URL: u.String(), Source: "docker", stop: stop}, nil
}

// tie makes the container end with this process: a shell in it reads from a pipe that only we hold,
// and at its end stops the server. The engine then removes the container.
func tie(container *dockertest.Resource) (release func()) {
	r, w := io.Pipe()
	go func() {
		_, _ = container.Exec([]string{"sh", "-c", "cat >/dev/null; kill -QUIT 1"},
			dockertest.ExecOptions{StdIn: r})
	}()
	return func() { w.Close() }
}

// accepting waits until the server takes connections. The image's first start also runs a passing
// server that answers on the container's own socket only, so the published port is the true sign.
func accepting(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it accepted no connection: %w", err)
		case <-tick.C:
		}
	}
}

func containerLog(pool *dockertest.Pool, container *dockertest.Resource) string {
	var b strings.Builder
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = pool.Client.Logs(docker.LogsOptions{Context: ctx, Container: container.Container.ID, Tail: "20",
		Stdout: true, Stderr: true, OutputStream: &b, ErrorStream: &b})
	return strings.TrimSpace(b.String())
}

// splitImage parts postgres:17 and registry:5000/team/postgres:17 at the tag.
func splitImage(image string) (repository, tag string) {
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		return image[:i], image[i+1:]
	}
	return image, "latest"
}
