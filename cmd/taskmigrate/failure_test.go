package main

import (
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tasklane/tasks/internal/cli/clitest"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

const (
	password = "correct-horse"
	user     = "postgres://me:" + password
)

func TestFailuresAreOneLineAndHideThePassword(t *testing.T) {
	t.Parallel()
	server, err := dbtest.Server()
	if err != nil {
		t.Fatal(err)
	}
	missing, err := server.DatabaseURL("no_such_database")
	if err != nil {
		t.Fatal(err)
	}
	nobody := clitest.ClosedPort(t)
	for _, test := range []struct {
		name, url string
		args      []string
		code      exitCode
		want      string
	}{
		{"wrong host", user + "@host.invalid/x", []string{"status"}, exitFailed, "host.invalid"},
		{"nobody listens", user + "@" + nobody + "/x", []string{"up"}, exitFailed, "connection refused"},
		{"wrong password", user + "@" + refusingServer(t) + "/x?sslmode=disable", []string{"up"}, exitFailed, "28P01"},
		{"missing database", missing, []string{"up"}, exitFailed, "no_such_database"},
		{"malformed URL", user + "@host:port/x", []string{"up"}, exitUsage, "database URL"},
		{"malformed escape", user + "%zz@host/x", []string{"up"}, exitUsage, "database URL"},
		{"unknown flag", missing, []string{"up", "--lock-timeuot", "1s"}, exitUsage, "did you mean --lock-timeout"},
		{"unknown letter", missing, []string{"status", "-x"}, exitUsage, "unknown flag: -x"},
		{"missing flag", missing, []string{"down"}, exitUsage, "--to is missing"},
		{"a command as a flag", missing, []string{"--version"}, exitUsage, "`taskmigrate version` is a command"},
		{"unknown command", missing, []string{"stauts"}, exitUsage, "did you mean status"},
		{"no command", missing, nil, exitUsage, "no command"},
		{"an argument too many", missing, []string{"up", "now"}, exitUsage, "takes no argument"},
		{"unknown version", missing, []string{"up", "--to", "9999"}, exitUsage, "9999"},
		{"unknown format", missing, []string{"status", "--output", "yaml"}, exitUsage, "--output"},
		{"@ in the password", user + "@s@host.invalid/x", []string{"up"}, exitUsage, "%40"},
		{"/ in the password", "postgres://me:12/" + password + "@host/x", []string{"up"}, exitUsage, "%2F"},
		{"URL as an argument", missing, []string{"up", user + "@host/x"}, exitUsage, "takes no argument"},
		{"URL as a command", missing, []string{user + "@host/x"}, exitUsage, "no such command"},
		{"URL as a duration", missing, []string{"up", "--wait", user + "@host/x"}, exitUsage, "--wait takes a duration"},
		{"URL as a schema", missing, []string{"up", "--schema", user + "@host/x"}, exitUsage, "--schema"},
		{"URL as a flag", missing, []string{"up", "--" + user + "@host/x"}, exitUsage, "flag"},
		{"URL as letters", missing, []string{"up", "-" + password}, exitUsage, "flag"},
		{
			"missing CA file", user + "@host/x?sslmode=verify-full&sslrootcert=/no/such/ca.pem", []string{"up"},
			exitUsage, "/no/such/ca.pem",
		},
		{"missing service file", "service=ledger servicefile=/no/such/file", []string{"up"}, exitUsage, "/no/such/file"},
		{"missing service", "service=ledger servicefile=/dev/null", []string{"up"}, exitUsage, "ledger"},
		{
			"several hosts", user + "@" + nobody + ",host.invalid:5433/x", []string{"up"},
			exitFailed, nobody + " (" + strings.Split(nobody, ":")[0] + "): ",
		},
		{"negative wait", missing, []string{"status", "--wait", "-1s"}, exitUsage, "--wait"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := must(t, test.code, test.url, test.args...)
			lines := strings.Count(text.stderr, "\n")
			if lines != 1 || !strings.Contains(text.stderr, test.want) || text.stdout != "" {
				t.Errorf("want one line with %q, got %q, and %q", test.want, text.stderr, text.stdout)
			}
			if test.name == "unknown format" {
				return
			}
			inJSON := must(t, test.code, test.url, append(test.args, "--output", "json")...)
			got := parse(t, inJSON)
			if got.Error == nil || !strings.Contains(got.Error.Message+got.Error.Hint, test.want) {
				t.Errorf("want an error with %q, got %s", test.want, inJSON.stdout)
			}
			if all := text.stderr + inJSON.stdout + inJSON.stderr; strings.Contains(all, password) {
				t.Errorf("the password is in %q", all)
			}
		})
	}
}

func TestHelpSaysWhereAPasswordBelongs(t *testing.T) {
	t.Parallel()
	if help := must(t, exitDone, "", "--help"); !strings.Contains(help.stdout, "~/.pgpass") {
		t.Errorf("says %s", help.stdout)
	}
}

// A URL that a service uses for its pool works.
func TestPoolParametersAreAccepted(t *testing.T) {
	t.Parallel()
	url := dbtest.With(t, dbtest.New(t), "pool_max_conns", "7")
	must(t, exitDone, url, "status")
}

// refusingServer answers as PostgreSQL does to a wrong password. A private cluster trusts everybody.
func refusingServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{
					Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "me"`,
				})
				_ = backend.Flush()
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}
