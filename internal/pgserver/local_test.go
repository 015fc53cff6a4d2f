//go:build unix

package pgserver

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	ossignal "os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// directory is where the cluster of a URL lies: its socket is in there.
func directory(t *testing.T, serverURL string) string {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	dir := u.Query().Get("host")
	if !filepath.IsAbs(dir) {
		t.Fatalf("%q is no directory", dir)
	}
	return dir
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func show(t *testing.T, conn *pgx.Conn, setting string) string {
	t.Helper()
	var value string
	if err := conn.QueryRow(t.Context(), "SELECT current_setting($1)", setting).Scan(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestLocalClusterIsPrivate(t *testing.T) {
	t.Parallel()
	srv := local(t)
	conn := connect(t, srv.URL)

	if got := show(t, conn, "listen_addresses"); got != "" {
		t.Errorf("it listens on %q", got)
	}
	dir := directory(t, srv.URL)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o700 {
		t.Errorf("%s has mode %o; others may enter", dir, got)
	}
	if _, err := os.Stat(filepath.Join(dir, "password")); !os.IsNotExist(err) {
		t.Errorf("the password's file is still there: %v", err)
	}

	u, _ := url.Parse(srv.URL)
	password, _ := u.User.Password()
	if shown := left(t, password); shown != "" {
		t.Errorf("a process title shows the password: %s", shown)
	}
	u.User = url.UserPassword("postgres", "wrong")
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		conn.Close(t.Context())
		t.Error("a wrong password was let in")
	}
}

func TestLocalClusterTakesSettings(t *testing.T) {
	t.Parallel()
	srv := local(t, Durable(), Setting("max_connections", "33"), Setting("taskstore.word", `it's a \ "word"`))
	conn := connect(t, srv.URL)
	for name, want := range map[string]string{
		"fsync": "on", "full_page_writes": "on", "max_connections": "33", "taskstore.word": `it's a \ "word"`,
	} {
		if got := show(t, conn, name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func TestLocalClusterForTestsSkipsTheDisk(t *testing.T) {
	t.Parallel()
	conn := connect(t, local(t).URL)
	for name, want := range map[string]string{
		"fsync": "off", "full_page_writes": "off", "synchronous_commit": "on", "max_connections": "1000",
	} {
		if got := show(t, conn, name); got != want {
			t.Errorf("%s is %q; want %q", name, got, want)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	srv := local(t)
	dir := directory(t, srv.URL)
	connect(t, srv.URL) // a session that is still open must not hold it up
	for range 2 {
		if err := srv.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if rest := left(t, dir); rest != "" {
		t.Error("still there: " + rest)
	}
}

// A test may put another cluster, such as a standby, into the directory of its own.
func TestCloseTakesAlongOtherClusters(t *testing.T) {
	t.Parallel()
	srv := local(t)
	dir := directory(t, srv.URL)
	credential, err := unprivileged()
	if err != nil {
		t.Fatal(err)
	}
	bin, other := bindir(t, connect(t, srv.URL)), filepath.Join(dir, "other")
	for _, args := range [][]string{
		{"initdb", "-D", other, "--no-sync"},
		{"pg_ctl", "start", "-D", other, "-l", other + ".log", "-w", "-o", "-p 5433 -k .. -h ''"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, args[0]), args[1:]...)
		cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", serverEnv(), &syscall.SysProcAttr{Credential: credential}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	if err := srv.Close(); err != nil {
		t.Fatal(err)
	}
	if rest := left(t, dir); rest != "" {
		t.Error("still there: " + rest)
	}
}

func bindir(t *testing.T, conn *pgx.Conn) (dir string) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// However the process ends, its cluster and the cluster's directory end with it.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	ends := map[string]syscall.Signal{
		"exit":    0,
		"panic":   0,
		"killed":  syscall.SIGKILL,
		"term":    syscall.SIGTERM,
		"ctrl-c":  syscall.SIGINT,
		"hang-up": syscall.SIGHUP,
	}
	for how, signal := range ends {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			if signal != 0 && ossignal.Ignored(signal) {
				t.Skip("this process ignores the signal, as under nohup, and so would the child")
			}
			cmd, stdin, line := spawn(t, how, "TASKSTORE_TEST_POSTGRES=local")
			serverURL := line()
			dir := directory(t, serverURL)
			connect(t, serverURL) // it runs, and has a session
			if signal == 0 {
				if _, err := stdin.Write([]byte("\n")); err != nil {
					t.Fatal(err)
				}
			} else if err := syscall.Kill(-cmd.Process.Pid, signal); err != nil { // the group, as a terminal does
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Fatal("the child ended in peace")
			}
			eventually(t, func() string { return left(t, dir) })
		})
	}
}

// The same holds from the first moment on: killed while initdb is at work.
func TestNothingIsLeftBehindByAStart(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	base := openTempDir(t)
	cmd, _, _ := spawn(t, "killed", "TASKSTORE_TEST_POSTGRES=local", "TMPDIR="+base)
	eventually(t, func() string {
		if made, _ := filepath.Glob(filepath.Join(base, "*", "data")); len(made) == 0 {
			return "the wait for initdb"
		}
		return ""
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, func() string {
		if rest, _ := filepath.Glob(filepath.Join(base, "*")); len(rest) > 0 {
			return strings.Join(rest, " ")
		}
		return ""
	})
	// base itself is still there, so only processes can be what is left.
	eventually(t, func() string { return left(t, base+string(filepath.Separator)+"taskstore") })
}

// A supervisor that is itself told to end takes its cluster along.
func TestSupervisorTakesClusterAlong(t *testing.T) {
	t.Parallel()
	srv := local(t)
	dir := directory(t, srv.URL)
	pid := supervisorOf(t, dir)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return left(t, dir) })
	if err := srv.Close(); err == nil {
		t.Error("Close says nothing of the early end")
	}
}

func TestStartThatFailsShowsTheServersLog(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	srv, err := startHere(t.Context(), Setting("shared_buffers", "plenty"))
	if err == nil {
		_ = srv.Close()
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), `invalid value for parameter "shared_buffers"`) {
		t.Errorf("no cause in: %v", err)
	}
	for word := range strings.FieldsSeq(err.Error()) {
		if strings.Contains(word, "taskstore-postgres-") {
			eventually(t, func() string { return left(t, strings.Trim(word, `"':,/`)) })
		}
	}
}

func TestStartRefusesSettingsThatBreakTheFile(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	for _, s := range []Option{Setting("a b", "1"), Setting("", "1"), Setting("work_mem", "1\nfsync = on")} {
		srv, err := startHere(t.Context(), s)
		if err == nil {
			_ = srv.Close()
			t.Error("it started")
		} else if !strings.Contains(err.Error(), "cannot stand in a configuration file") {
			t.Errorf("another error: %v", err)
		}
	}
}

func TestStartCancelled(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	srv, err := startHere(ctx)
	if err == nil {
		_ = srv.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v; want context.Canceled", err)
	}
}

// On macOS the name of a user's temporary directory alone takes half of the length that a socket's path may have.
func TestLongTemporaryDirectory(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	long := filepath.Join(openTempDir(t), strings.Repeat("x", 100))
	if err := os.Mkdir(long, 0o777); err != nil {
		t.Fatal(err)
	}
	_, _, line := spawn(t, "exit", "TASKSTORE_TEST_POSTGRES=local", "TMPDIR="+long)
	serverURL := line()
	connect(t, serverURL)
	if dir := directory(t, serverURL); filepath.Dir(dir) != "/tmp" {
		t.Errorf("the cluster is in %s", dir)
	}
}
