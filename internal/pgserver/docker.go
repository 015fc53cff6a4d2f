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

// containerLife is after how many seconds the engine ends a container that nothing else has ended.
const containerLife = 12 * 60 * 60

// startDocker runs the image in a container. Its port is open on the loopback address of the engine's machine
// only, so the engine has to run on this machine.
func startDocker(ctx context.Context, c config, o options) (*Server, error) {
	pool, err := dockertest.NewPool("")
	if err == nil {
		err = pool.Client.PingWithContext(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("docker engine: %w: %w", ErrNone, err)
	}
	if err := pull(ctx, pool, c.image); err != nil {
		return nil, fmt.Errorf("docker image %s is not here and cannot be pulled; "+
			"name another one in TASKSTORE_TEST_POSTGRES_IMAGE: %w", c.image, err)
	}

	name := "taskstore-postgres-" + rand.Text()
	password := rand.Text()
	repository, tag := splitImage(c.image)
	cmd := []string{"postgres"}
	for _, s := range o.settings {
		cmd = append(cmd, "-c", s[0]+"="+s[1])
	}
	container, err := pool.RunWithOptions(&dockertest.RunOptions{
		Name:         name,
		Repository:   repository,
		Tag:          tag,
		Cmd:          cmd,
		Env:          []string{"POSTGRES_PASSWORD=" + password},
		ExposedPorts: []string{"5432/tcp"},
		PortBindings: map[docker.Port][]docker.PortBinding{"5432/tcp": {{HostIP: "127.0.0.1"}}},
	}, func(host *docker.HostConfig) {
		host.AutoRemove = true
		host.PublishAllPorts = false
	})
	if err != nil {
		// A container that was made but never ran is not removed by the engine.
		return nil, errors.Join(fmt.Errorf("docker image %s: %w", c.image, err), pool.RemoveContainerByName(name))
	}
	release := tie(container)
	stop := func() error {
		defer release()
		var gone *docker.NoSuchContainer // it ended by itself, so the engine has removed it
		if err := pool.Purge(container); err != nil && !errors.As(err, &gone) {
			return fmt.Errorf("pgserver: removing the container: %w", err)
		}
		return nil
	}
	if err := container.Expire(containerLife); err != nil {
		return nil, errors.Join(err, stop())
	}

	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Path: "/postgres",
		Host: container.GetHostPort("5432/tcp"), RawQuery: "sslmode=disable"}
	if err := accepting(ctx, pool, container, u.String()); err != nil {
		return nil, errors.Join(fmt.Errorf("docker image %s: %w", c.image, err), stop())
	}
	return &Server{URL: u.String(), Source: "docker", stop: stop}, nil
}

// pull fetches the image unless the engine has it.
func pull(ctx context.Context, pool *dockertest.Pool, image string) error {
	_, err := pool.Client.InspectImage(image)
	if !errors.Is(err, docker.ErrNoSuchImage) {
		return err
	}
	repository, tag := splitImage(image)
	return pool.Client.PullImage(docker.PullImageOptions{Context: ctx, Repository: repository, Tag: tag},
		docker.AuthConfiguration{})
}

// tie makes the container end with this process. A shell in the container reads from a pipe that only this process
// holds open. When the pipe ends, the shell stops the server, and the engine removes the container.
func tie(container *dockertest.Resource) (release func()) {
	r, w := io.Pipe()
	go func() {
		// The image's entry script ignores signals until the server replaces it: hence the loop.
		watch := "cat >/dev/null; while kill -QUIT 1; do sleep 1; done"
		_, _ = container.Exec([]string{"sh", "-c", watch}, dockertest.ExecOptions{StdIn: r})
	}()
	return func() { _ = w.Close() }
}

// accepting waits until the server takes connections on the published port. The image first starts a temporary
// server, but that answers on the container's own socket only. The error has the container's log in it, which is
// followed from the beginning, because it is removed with the container.
func accepting(ctx context.Context, pool *dockertest.Pool, container *dockertest.Resource, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no answer within a minute"))
	defer cancel()
	var log strings.Builder
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		_ = pool.Client.Logs(docker.LogsOptions{Context: ctx, Container: container.Container.ID, Follow: true,
			Stdout: true, Stderr: true, OutputStream: &log, ErrorStream: &log})
	}()
	running := func() bool {
		c, err := pool.Client.InspectContainer(container.Container.ID)
		return err == nil && c.State.Running
	}
	err := poll(ctx, url, running)
	cancel()
	<-followed // from here on nobody writes the log
	if err != nil {
		return fmt.Errorf("%w\n%s", err, strings.TrimSpace(log.String()))
	}
	return nil
}

// poll connects until that succeeds, ctx is over or the container has ended.
func poll(ctx context.Context, url string, running func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 2*time.Second) // an address that is gone may not even refuse
		conn, err := pgx.Connect(attempt, url)
		cancel()
		if err == nil {
			return conn.Close(ctx)
		}
		if !running() {
			return fmt.Errorf("the container ended: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it took no connection, %w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// splitImage parts postgres:17 and registry:5000/team/postgres:17 at the tag.
func splitImage(image string) (repository, tag string) {
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		return image[:i], image[i+1:]
	}
	return image, "latest"
}
