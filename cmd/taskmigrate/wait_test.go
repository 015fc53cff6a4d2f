package main

import (
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/cli/clitest"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestWaitForTheServerToAcceptConnections(t *testing.T) {
	t.Parallel()
	direct := dbtest.New(t)
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	address := clitest.ClosedPort(t)
	later := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: address,
		Path: dbtest.Name(t, direct), RawQuery: "sslmode=disable",
	}
	messages, stderr := io.Pipe()
	cmd, _, _ := command(t, later.String(), "up", "--wait", "1m")
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := messages.Read(make([]byte, 1024)); err != nil { // it says that it waits
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, messages) }()
	forward(t, address, config)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	must(t, exitDone, direct, "status", "--check")
}

// forward makes the server reachable at an address.
func forward(t *testing.T, address string, to *pgx.ConnConfig) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	network, server := "tcp", net.JoinHostPort(to.Host, fmt.Sprint(to.Port))
	if to.Host[0] == '/' {
		network, server = "unix", fmt.Sprintf("%s/.s.PGSQL.%d", to.Host, to.Port)
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial(network, server)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(backend, client); _ = backend.Close() }()
			go func() { _, _ = io.Copy(client, backend); _ = client.Close() }()
		}
	}()
}
