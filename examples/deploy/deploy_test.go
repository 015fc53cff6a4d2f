// Package deploy holds recipes that a team copies. Its tests run each of them as far as that goes without the product
// that it is for.
package deploy

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

var (
	server *pgserver.Server // of these tests alone, since they make roles
	bin    string           // has taskmigrate, and a gh that prints what it would send
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if bin, err = os.MkdirTemp("", "deploy"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	build := exec.Command("go", "build", "-o", bin, "./cmd/taskmigrate")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("%w: %s", err, out)
	}
	gh := "#!/bin/sh\necho gh \"$@\"\ncat report.md\n"
	if err := os.WriteFile(filepath.Join(bin, "gh"), []byte(gh), 0o700); err != nil {
		return 1, err
	}
	if server, err = pgserver.StartLocal(context.Background()); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	return m.Run(), nil
}

// database has a tasks table of an older version, and roles of schema/roles.sql.
type database struct {
	admin, migrate, read string // URLs
}

var making sync.Mutex // two runs of roles.sql at once would meet in the server's roles

func newDatabase(t *testing.T) database {
	t.Helper()
	making.Lock()
	defer making.Unlock()
	admin, drop, err := server.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Error(err)
		}
	})
	script, err := os.ReadFile("../../schema/roles.sql")
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, admin, string(script))
	as := func(group string) string {
		login, password := group+"_"+strings.ToLower(rand.Text()), rand.Text()
		dbtest.Exec(t, admin, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s' IN ROLE %s", login, password, group),
			fmt.Sprintf("ALTER ROLE %s SET role = %s", login, group))
		u, err := url.Parse(admin)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(login, password)
		return u.String()
	}
	db := database{admin, as("tasks_migrate"), as("tasks_read")}
	must(t, 0, []string{"DATABASE_URL=" + db.migrate}, "taskmigrate", "up", "--to", "9")
	dbtest.Exec(t, admin, string(script)) // the table is there now
	return db
}

func (db database) migrated(t *testing.T) bool {
	t.Helper()
	code, _ := try(t, []string{"DATABASE_URL=" + db.read}, "taskmigrate", "status", "--check")
	return code == 0
}

// must runs a program that is to end with that exit code, and returns what it says.
func must(t *testing.T, want int, env []string, name string, args ...string) string {
	t.Helper()
	code, said := try(t, env, name, args...)
	if code != want {
		t.Fatalf("%s %s: exit %d, want %d\n%s", name, strings.Join(args, " "), code, want, said)
	}
	return said
}

func try(t *testing.T, env []string, name string, args ...string) (code int, said string) {
	t.Helper()
	return tryIn(t, "", env, name, args...)
}

// tryIn runs a program in a directory, with bin first in its path.
func tryIn(t *testing.T, dir string, env []string, name string, args ...string) (code int, said string) {
	t.Helper()
	if ours := filepath.Join(bin, name); name == "taskmigrate" {
		name = ours
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH")), env...)
	var both bytes.Buffer
	cmd.Stdout, cmd.Stderr = &both, &both
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), both.String()
}

// need skips the test where a program is missing.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("did not run: %v", err)
		}
	}
}
