//go:build unix

package storetest

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// PgBouncer is a PgBouncer of a test's own, in transaction mode in front of the test's database.
type PgBouncer struct {
	url      string
	prepares bool // it keeps track of prepared statements, as 1.21 and later can
}

// Through starts a PgBouncer that has that many connections to the server for all its clients, and
// keeps track of that many prepared statements if it can. It ends with the test, or with the test's
// process, whichever is first.
func (b *Bundle) Through(t *testing.T, servers, statements int) *PgBouncer {
	t.Helper()
	program, version := pgbouncerProgram(t)
	settings := map[string]int{"default_pool_size": servers}
	if version >= 1.21 {
		settings["max_prepared_statements"] = statements
	}
	p := &PgBouncer{prepares: settings["max_prepared_statements"] > 0}
	server, err := pgx.ParseConfig(b.URL)
	if err != nil {
		t.Fatal(err)
	}
	credential := runAs(t, server.Host)
	dir, err := os.MkdirTemp("/tmp", "pgbouncer") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ini := filepath.Join(dir, "ini")
	if err := os.WriteFile(ini, []byte(pgbouncerINI(server, dir, settings)), 0o600); err != nil {
		t.Fatal(err)
	}
	if credential != nil {
		for _, path := range []string{dir, ini} {
			if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}

	// Standard input is a pipe whose other end only this process holds.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", "-c",
		`"$1" "$2/ini" >/dev/null 2>&1 & cat; kill $!; wait; rm -rf "$2"`, "sh", program, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential} // Ctrl-C is for us
	cmd.Dir = "/"
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = alive.Close()
		if err := cmd.Wait(); err != nil {
			t.Error("pgbouncer: ", err)
		}
	})
	p.url = "postgres:///tasks?" + url.Values{"host": {dir}, "port": {"6432"}, "user": {"service"}}.Encode()
	p.wait(t, filepath.Join(dir, "log"))
	return p
}

// Mode is the URL with that default_query_exec_mode.
func (p *PgBouncer) Mode(mode string) string { return p.url + "&default_query_exec_mode=" + mode }

func (p *PgBouncer) wait(t *testing.T, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.url)
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		if ctx.Err() != nil {
			said, _ := os.ReadFile(log)
			t.Fatalf("pgbouncer took no connection: %v\n%s", err, said)
		}
	}
}

func pgbouncerINI(server *pgx.ConnConfig, dir string, settings map[string]int) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	lines := []string{
		"[databases]",
		fmt.Sprintf("tasks = host=%s port=%d dbname=%s user=%s password=%s", quote(server.Host), server.Port,
			quote(server.Database), quote(server.User), quote(server.Password)),
		"[pgbouncer]",
		"pool_mode = transaction",
		"listen_addr =", // its socket only, in a directory that nobody else can enter
		"unix_socket_dir = " + dir,
		"listen_port = 6432",
		"auth_type = any",
		"logfile = " + filepath.Join(dir, "log"),
		"server_tls_sslmode = prefer",
	}
	for name, value := range settings {
		lines = append(lines, fmt.Sprintf("%s = %d", name, value))
	}
	return strings.Join(lines, "\n") + "\n"
}

var pgbouncerVersion = regexp.MustCompile(`(?i)pgbouncer (\d+\.\d+)`)

// pgbouncerProgram finds the program that TASKSTORE_TEST_PGBOUNCER names, else one on PATH or where
// Debian has it.
func pgbouncerProgram(t *testing.T) (path string, version float64) {
	t.Helper()
	named := os.Getenv("TASKSTORE_TEST_PGBOUNCER")
	path, err := exec.LookPath(cmp.Or(named, "pgbouncer"))
	if err != nil && named == "" {
		path, err = exec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil && named != "" {
		t.Fatal("TASKSTORE_TEST_PGBOUNCER: ", err)
	}
	if err != nil {
		t.Skip("no pgbouncer on this machine, so this was not tried; install it: " +
			"apt-get install pgbouncer, or brew install pgbouncer")
	}
	out, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --version: %v\n%s", path, err, out)
	}
	number := pgbouncerVersion.FindSubmatch(out)
	if number == nil {
		t.Fatalf("%s --version says %q", path, out)
	}
	version, _ = strconv.ParseFloat(string(number[1]), 64) // two numbers of two digits, as all its versions since 1.10
	return path, version
}

// runAs is the user that PgBouncer runs as where we are root, because it refuses to run as root: the owner of the
// directory of the server's socket, or nobody.
func runAs(t *testing.T, host string) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	if strings.HasPrefix(host, "/") {
		info, err := os.Stat(host)
		if err != nil {
			t.Fatal(err)
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Uid != 0 {
			return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
		}
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32) // numbers on every unix
	gid, _ := strconv.ParseUint(nobody.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// behindPgBouncer puts b's pool and store behind a PgBouncer, in that mode. What a test opens on b.URL goes to
// the server itself.
func (b *Bundle) behindPgBouncer(t *testing.T, mode string) {
	t.Helper()
	b.Pool = b.Through(t, 20, 100).Pool(t, mode, 40)
	b.Store = taskstore.New(b.Pool)
}

// Pool opens a pool of clients of p.
func (p *PgBouncer) Pool(t *testing.T, mode string, clients int32) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(p.Mode(mode))
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = clients
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Modes are the modes of pgx that work behind p.
func (p *PgBouncer) Modes() []string {
	modes := []string{"cache_describe", "exec", "simple_protocol"}
	if p.prepares {
		modes = append(modes, "cache_statement")
	}
	return modes
}
