//go:build unix

package pgserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// childEnv makes the test binary a process that starts a server and then ends in the way it names.
const childEnv = "PGSERVER_TEST_CHILD"

func TestMain(m *testing.M) {
	if how := os.Getenv(childEnv); how != "" {
		child(how)
	}
	os.Exit(m.Run())
}

// child prints the server's URL, or the error, as one line and goes on once it gets a byte.
func child(how string) {
	if how == "bare" {
		installDirs = nil // together with an empty PATH: a machine without server binaries
	}
	srv, err := Start(context.Background())
	if err != nil {
		fmt.Printf("%q\n", err.Error())
		os.Exit(1)
	}
	fmt.Println(srv.URL)
	_, _ = os.Stdin.Read(make([]byte, 1))
	switch how {
	case "exit":
		os.Exit(3)
	case "panic":
		go panic("on purpose")
	}
	select {} // until a signal
}

// spawn runs the test binary as a child, in a process group of its own as a shell would.
func spawn(t *testing.T, how string, env ...string) (cmd *exec.Cmd, stdin io.Writer, line func() string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(exe)
	cmd.Env = append(append(os.Environ(), childEnv+"="+how), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, in, func() string {
		t.Helper()
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatalf("the child said %q and no more: %v", line, err)
		}
		return strings.TrimSpace(line)
	}
}

// eventually waits until what returns an empty string; what is the thing still to wait for. The limit only ends a
// wait that would have no end: it is far above what a machine under load needs.
func eventually(t *testing.T, what func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(5 * time.Minute)
	for {
		rest := what()
		if rest == "" {
			return
		}
		select {
		case <-late:
			t.Fatal("still there: " + rest)
		case <-tick.C:
		}
	}
}

// left returns the processes whose command line has the word, and the file of that name if there is one.
func left(t *testing.T, word string) string {
	t.Helper()
	var found []string
	for pid, title := range processes(t) {
		if strings.Contains(title, word) {
			found = append(found, fmt.Sprint(pid, " ", title))
		}
	}
	if _, err := os.Lstat(word); err == nil {
		found = append(found, word)
	}
	return strings.Join(found, "\n")
}

// processes returns every process's command line, from /proc where there is one: ps may be missing there.
func processes(t *testing.T) map[int]string {
	t.Helper()
	titles := map[int]string{}
	if entries, _ := filepath.Glob("/proc/[0-9]*/cmdline"); len(entries) > 0 {
		for _, entry := range entries {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(entry)))
			args, _ := os.ReadFile(entry) // empty for one that has just ended
			titles[pid] = strings.ReplaceAll(string(args), "\x00", " ")
		}
		return titles
	}
	out, err := exec.Command("ps", "-A", "-o", "pid=,args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		first, title, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, _ := strconv.Atoi(first)
		titles[pid] = title
	}
	return titles
}

// needBinaries skips where this machine cannot run a cluster of its own.
func needBinaries(t *testing.T) {
	t.Helper()
	_, err := findBinaries(t.Context(), os.Getenv("TASKSTORE_TEST_POSTGRES_BINDIR"))
	if errors.Is(err, ErrNone) {
		t.Skip("no server binaries on this machine")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startHere starts a private cluster, whatever the environment asks the other tests to use.
func startHere(ctx context.Context, opts ...Option) (*Server, error) {
	c := config{force: "local", bindir: os.Getenv("TASKSTORE_TEST_POSTGRES_BINDIR")}
	return start(ctx, c, newOptions(opts))
}

// local starts a private cluster, or skips where this machine cannot.
func local(t *testing.T, opts ...Option) *Server {
	t.Helper()
	needBinaries(t)
	srv, err := startHere(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() }) // tests of Close look at its result themselves
	return srv
}

// shared is one server of any source for the tests that do not care. The process's end stops it.
var shared = sync.OnceValues(func() (*Server, error) { return Start(context.Background()) })

func anyServer(t *testing.T) *Server {
	t.Helper()
	srv, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

// openTempDir is a short-named temporary directory in which every user may create files.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "pgserver")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// supervisorOf returns the process that owns the cluster in dir.
func supervisorOf(t *testing.T, dir string) int {
	t.Helper()
	for pid, title := range processes(t) {
		if strings.HasPrefix(title, "/bin/sh -c") && strings.Contains(title, dir) {
			return pid
		}
	}
	t.Fatalf("no supervisor of %s", dir)
	return 0
}
