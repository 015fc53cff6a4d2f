// Package pgserver finds or starts a PostgreSQL server for tests, the demo and benchmarks.
//
// Start looks at these places and takes the first one that there is:
//
//  1. TASKSTORE_TEST_DATABASE_URL: that server.
//  2. Server binaries on this machine (TASKSTORE_TEST_POSTGRES_BINDIR if set, else PATH,
//     pg_config --bindir, /usr/lib/postgresql/*/bin, Homebrew): a private throwaway cluster.
//  3. Docker: a container of TASKSTORE_TEST_POSTGRES_IMAGE, default postgres:17.
//
// TASKSTORE_TEST_POSTGRES=url, local or docker forces one of them. What Start has started goes away
// with this process, however the process ends.
package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultImage is the Docker image that runs where TASKSTORE_TEST_POSTGRES_IMAGE is not set.
const DefaultImage = "postgres:17"

// minVersion is PostgreSQL 14, in the form of server_version_num.
const minVersion = 140000

// Server is a running PostgreSQL server.
type Server struct {
	// URL connects to a maintenance database: as superuser where Start started the server, else as
	// TASKSTORE_TEST_DATABASE_URL says. It holds the password.
	URL string
	// Source is where the server came from: "url", "local" or "docker". Only "url" outlives the process.
	Source string
	Local  Local

	stop func() error

	once        sync.Once
	maintenance *pgxpool.Pool
	err         error
}

// Close stops the server if Start started it, and removes its files. Further calls return the first one's result.
// Without Close the same happens when the process ends.
func (s *Server) Close() error { return s.stop() }

// Option changes how Start sets up a server of its own. A server named by URL is taken as it is.
type Option func(*options)

type options struct {
	settings    [][2]string
	environment []string
	durable     bool
	bindir      string
}

// Setting gives the server a configuration parameter, such as Setting("shared_buffers", "512MB").
// The last one of a name wins.
func Setting(name, value string) Option {
	return func(o *options) { o.settings = append(o.settings, [2]string{name, value}) }
}

// Variable gives the processes of a local server an environment variable.
func Variable(name, value string) Option {
	return func(o *options) { o.environment = append(o.environment, name+"="+value) }
}

// Durable makes each commit reach the disk, as in production. Without it the server does not wait
// for the disk, which no test can see unless the machine itself fails.
func Durable() Option {
	return func(o *options) {
		o.durable = true
		o.settings = append(o.settings, [2]string{"fsync", "on"}, [2]string{"full_page_writes", "on"})
	}
}

func newOptions(opts []Option) options {
	o := options{settings: [][2]string{
		{"max_connections", "1000"}, // machines of many cores run many tests at once
		{"shared_buffers", "128MB"},
		// synchronous_commit stays on: a commit must survive a restart of the server, which tests provoke.
		{"fsync", "off"},
		{"full_page_writes", "off"},
	}}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// config is what the environment asks for. Nothing else reads the environment, so tests can run in parallel.
type config struct {
	force, url, bindir, image string
}

// ErrNone is returned by a source that this machine does not have, as opposed to one that failed.
var ErrNone = errors.New("not found")

// Start finds or starts a server; see the package comment. ctx bounds the start alone (some
// seconds for a local cluster, longer where Docker has to fetch its image), not the server's life.
func Start(ctx context.Context, opts ...Option) (*Server, error) {
	return start(ctx, config{
		force:  os.Getenv("TASKSTORE_TEST_POSTGRES"),
		url:    os.Getenv("TASKSTORE_TEST_DATABASE_URL"),
		bindir: os.Getenv("TASKSTORE_TEST_POSTGRES_BINDIR"),
		image:  image(),
	}, newOptions(opts))
}

// StartLocal starts a private cluster, whatever the environment names besides, for tests that need a server's files
// and processes. Its directory is the host in its URL, and it takes along the clusters that a test has put in there.
// Where this machine has no server binaries it returns [ErrNone].
func StartLocal(ctx context.Context, opts ...Option) (*Server, error) {
	return start(ctx, config{force: "local", bindir: os.Getenv("TASKSTORE_TEST_POSTGRES_BINDIR")}, newOptions(opts))
}

func image() string { return cmp.Or(os.Getenv("TASKSTORE_TEST_POSTGRES_IMAGE"), DefaultImage) }

func start(ctx context.Context, c config, o options) (*Server, error) {
	srv, err := find(ctx, c, o)
	if err != nil {
		return nil, fmt.Errorf("pgserver: %w", err)
	}
	srv.stop = sync.OnceValue(srv.stop)
	if err := checkVersion(ctx, srv.URL); err != nil {
		return nil, errors.Join(fmt.Errorf("pgserver: %s server: %w", srv.Source, err), srv.Close())
	}
	return srv, nil
}

func find(ctx context.Context, c config, o options) (*Server, error) {
	switch c.force {
	case "url":
		if c.url == "" {
			return nil, errors.New("TASKSTORE_TEST_POSTGRES=url needs TASKSTORE_TEST_DATABASE_URL")
		}
		return fromURL(c.url)
	case "local":
		srv, err := startLocal(ctx, c, o)
		if errors.Is(err, ErrNone) {
			return nil, fmt.Errorf("%w; install them: %s", err, installCommand(runtime.GOOS, os.Geteuid()))
		}
		return srv, err
	case "docker":
		return startDocker(ctx, c, o)
	case "":
	default:
		return nil, fmt.Errorf("TASKSTORE_TEST_POSTGRES is %q; it can be url, local or docker", c.force)
	}

	if c.url != "" {
		return fromURL(c.url)
	}
	srv, err := startLocal(ctx, c, o)
	if !errors.Is(err, ErrNone) {
		return srv, err
	}
	srv, err = startDocker(ctx, c, o)
	switch {
	case errors.Is(err, ErrNone):
		return nil, fmt.Errorf("no PostgreSQL server here and no Docker; install one: %s",
			installCommand(runtime.GOOS, os.Geteuid()))
	case err != nil:
		return nil, fmt.Errorf("%w; or do without Docker: %s", err, installCommand(runtime.GOOS, os.Geteuid()))
	}
	return srv, nil
}

func fromURL(url string) (*Server, error) {
	srv := &Server{URL: url, Source: "url", stop: func() error { return nil }}
	if _, err := srv.DatabaseURL("postgres"); err != nil {
		return nil, fmt.Errorf("TASKSTORE_TEST_DATABASE_URL: %w", err)
	}
	return srv, nil
}

// installCommand is the one command that gives this machine server binaries.
func installCommand(goos string, uid int) string {
	switch {
	case goos == "darwin":
		return "brew install postgresql@17"
	case uid == 0: // a bare container often has no sudo
		return "apt-get update && apt-get install -y postgresql"
	default:
		return "sudo apt-get update && sudo apt-get install -y postgresql"
	}
}

func checkVersion(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var num int
	var name string
	err = conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')").
		Scan(&num, &name)
	if err != nil {
		return err
	}
	if num < minVersion {
		return fmt.Errorf("it is PostgreSQL %s; 14 or newer is needed", name)
	}
	return nil
}
