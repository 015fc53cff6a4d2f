package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// On a terminal --watch is a screen, which follows the table and gives the terminal back on q.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not on this machine: nobody has looked at the screen")
	}
	b := storetest.Setup(t)
	b.CreateMany(t, 3)
	term := openTerminal(t, b.URL, "echo before; "+binary+" stats --watch --interval 100ms; echo exit $?; cat")
	term.waitFor("pending     3", "every 100ms, q quits", "21           1        0           0       0")

	if _, err := b.Store.Claim(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	term.waitFor("pending     1", "processing  2")
	b.Exec(t, `ALTER TABLE tasks RENAME TO tasks_away`)
	term.waitFor("no answer, tried again every 100ms", "processing  2")
	b.Exec(t, `ALTER TABLE tasks_away RENAME TO tasks`)
	b.In(t, taskstore.Failed)
	screen := term.waitFor("failed      1", "every 100ms, q quits")
	t.Logf("the screen:\n%s", screen)

	term.tmux("send-keys", "q")
	screen = term.waitFor("before", "exit 0")
	if strings.Contains(screen, "pending") {
		t.Errorf("the terminal still shows\n%s", screen)
	}
}

// A low terminal shows less, and Ctrl-C ends it as well.
func TestWatchOnALowTerminal(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not on this machine: nobody has looked at the screen")
	}
	b := storetest.Setup(t)
	b.CreateMany(t, 9)
	term := openTerminal(t, b.URL, binary+" stats --watch --interval 100ms; echo exit $?; cat")
	term.tmux("resize-window", "-x", "60", "-y", "10")
	screen := term.waitFor("every 100ms", "pending     9", "8 more")
	if !strings.HasPrefix(screen, "every") {
		t.Errorf("the screen has scrolled:\n%s", screen)
	}
	term.tmux("send-keys", "C-c")
	term.waitFor("exit 0")
}

// terminal is one of tmux, with a server of its own.
type terminal struct {
	t      *testing.T
	socket string
}

func openTerminal(t *testing.T, url, script string) terminal {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "tmux") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	term := terminal{t, filepath.Join(dir, "s")}
	term.tmux("new-session", "-d", "-x", "100", "-y", "40", "-e", "DATABASE_URL="+url, "-e", "TERM=tmux", script)
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", term.socket, "kill-server").Run() })
	return term
}

func (term terminal) tmux(args ...string) string {
	term.t.Helper()
	args = append([]string{"-S", term.socket, "-f", "/dev/null"}, args...)
	cmd := exec.CommandContext(term.t.Context(), "tmux", args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// waitFor waits until the screen has all of these, and returns it.
func (term terminal) waitFor(texts ...string) (screen string) {
	term.t.Helper()
	dbtest.Eventually(term.t, func() string {
		screen = term.tmux("capture-pane", "-p")
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return text + " on the screen:\n" + screen
			}
		}
		return ""
	})
	return screen
}

// Without a terminal --watch prints a line, or a JSON object, each time, until a signal ends it.
func TestWatchPrintsLines(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for _, format := range []string{"text", "json"} {
		cmd, _, stderr := command(t, b.URL, "stats --watch --interval 100ms --output "+format)
		cmd.Stdout = nil
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		pending := func(line string) string {
			if format == "text" {
				_, rest, _ := strings.Cut(line, " pending=")
				value, _, _ := strings.Cut(rest, " ")
				return value
			}
			var r struct{ Stats struct{ Pending json.Number } }
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			return r.Stats.Pending.String()
		}
		wait := func(want string) {
			t.Helper()
			for lines.Scan() {
				if pending(lines.Text()) == want {
					return
				}
			}
			t.Fatalf("%s: ended before it said %s: %s", format, want, stderr)
		}
		wait("0")
		b.CreateMany(t, 2)
		wait("2")
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // to the end
		}
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("%s: %v, %s", format, err, stderr)
		}
		b.Exec(t, `DELETE FROM tasks`)
	}
}
