package main

import (
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

const password = "correct-horse"

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
	nobody := closedPort(t)
	for _, test := range []struct {
		name, url string
		args      []string
		code      migrate.ExitCode
		want      string
	}{
		{"wrong host", "postgres://me:" + password + "@host.invalid/x", []string{"status"}, migrate.ExitFailed, "host.invalid"},
		{"nobody listens", "postgres://me:" + password + "@" + nobody + "/x", []string{"up"}, migrate.ExitFailed, "connection refused"},
		{"wrong password", "postgres://me:" + password + "@" + refusingServer(t) + "/x?sslmode=disable", []string{"up"}, migrate.ExitFailed, "28P01"},
		{"missing database", missing, []string{"up"}, migrate.ExitFailed, "no_such_database"},
		{"malformed URL", "postgres://me:" + password + "@host:port/x", []string{"up"}, migrate.ExitUsage, "database URL"},
		{"malformed escape", "postgres://me:" + password + "%zz@host/x", []string{"up"}, migrate.ExitUsage, "database URL"},
		{"unknown flag", missing, []string{"up", "--lock-timeuot", "1s"}, migrate.ExitUsage, "did you mean --lock-timeout"},
		{"unknown command", missing, []string{"stauts"}, migrate.ExitUsage, "did you mean status"},
		{"no command", missing, nil, migrate.ExitUsage, "no command"},
		{"an argument too many", missing, []string{"up", "now"}, migrate.ExitUsage, "now"},
		{"unknown version", missing, []string{"up", "--to", "9999"}, migrate.ExitUsage, "9999"},
		{"unknown format", missing, []string{"status", "--output", "yaml"}, migrate.ExitUsage, "yaml"},
		{"negative wait", missing, []string{"status", "--wait", "-1s"}, migrate.ExitUsage, "--wait"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := must(t, test.code, test.url, test.args...)
			if strings.Count(text.stderr, "\n") != 1 || !strings.Contains(text.stderr, test.want) || text.stdout != "" {
				t.Errorf("want one line with %q, got %q, and %q", test.want, text.stderr, text.stdout)
			}
			if test.name == "unknown format" {
				return
			}
			inJSON := must(t, test.code, test.url, append(test.args, "--output", "json")...)
			if got := parse(t, inJSON); got.Error == nil || !strings.Contains(got.Error.Message+got.Error.Hint, test.want) {
				t.Errorf("want an error with %q, got %s", test.want, inJSON.stdout)
			}
			if all := text.stderr + inJSON.stdout + inJSON.stderr; strings.Contains(all, password) {
				t.Errorf("the password is in %q", all)
			}
		})
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
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
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: "28P01", Message: `password authentication failed for user "me"`})
				_ = backend.Flush()
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestAFlagGoesBeforeItsVariable(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	got := runWith(t, url, []string{"TASKMIGRATE_TO=2", "TASKMIGRATE_OUTPUT=json"}, "up")
	if applied := parse(t, got).inState(migrate.StateApplied); len(applied) != 2 {
		t.Errorf("TASKMIGRATE_TO=2 applied %v", applied)
	}
	got = runWith(t, url, []string{"TASKMIGRATE_TO=2", "TASKMIGRATE_OUTPUT=json"}, "up", "--to", "3")
	if applied := parse(t, got).inState(migrate.StateApplied); len(applied) != 3 {
		t.Errorf("--to 3 applied %v", applied)
	}
	got = runWith(t, url, []string{"TASKMIGRATE_WAIT=soon"}, "status")
	if got.code != migrate.ExitUsage || !strings.Contains(got.stderr, "TASKMIGRATE_WAIT") {
		t.Errorf("a bad variable: exit %d, %q", got.code, got.stderr)
	}
	got = runWith(t, url, []string{"TASKMIGRATE_OUTPUT=json"}, "no-such-command")
	if r := parse(t, got); r.Error == nil || r.ExitCode != migrate.ExitUsage {
		t.Errorf("an unknown command in JSON: %+v", r)
	}
}

func TestDatabaseURLIsFoundInOrder(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	dead := "postgres://me@" + closedPort(t) + "/x"
	for _, test := range []struct {
		name string
		env  []string
		args []string
	}{
		{"the flag first", []string{"TASKMIGRATE_DATABASE_URL=" + dead}, []string{"--database-url", url}},
		{"then its variable", []string{"TASKMIGRATE_DATABASE_URL=" + url, "DATABASE_URL=" + dead}, nil},
		{"then DATABASE_URL", []string{"TASKMIGRATE_DATABASE_URL=", "DATABASE_URL=" + url}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := runWith(t, "", test.env, append([]string{"status"}, test.args...)...)
			if got.code != migrate.ExitDone {
				t.Errorf("exit %d: %s", got.code, got.stderr)
			}
		})
	}
}

func TestVersionNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	got := parse(t, must(t, migrate.ExitDone, "postgres://me@"+closedPort(t)+"/x", "version", "--output", "json"))
	known, err := migrate.Known()
	if err != nil {
		t.Fatal(err)
	}
	if got.Version == "" || len(got.Migrations) != 1 || got.Migrations[0].Name != known[len(known)-1].Name {
		t.Errorf("got %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	script := must(t, migrate.ExitDone, "", "completion", "bash")
	if !strings.Contains(script.stdout, "__start_taskmigrate") {
		t.Errorf("no completion script: %.200s", script.stdout)
	}
	versions := must(t, migrate.ExitDone, "", "__complete", "up", "--to", "")
	if !strings.Contains(versions.stdout, "3\t00003_add_idx_task.sql") {
		t.Errorf("--to is not completed with versions: %s", versions.stdout)
	}
}
