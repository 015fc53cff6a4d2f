// Command record runs a command in a terminal, and draws that as a picture in which each line comes and goes when it
// did:
//
//	go run ./internal/readme/record [-for 10s] TITLE COMMAND [ARG...] >FILE.svg
//
// The terminal is one of tmux. With -for the picture ends then, and the command gets Ctrl-C.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	columns = 112
	rows    = 40
	silence = time.Second // a longer one is cut to this
)

func main() {
	limit := flag.Duration("for", time.Hour, "end the picture after this time")
	flag.Parse()
	if flag.NArg() < 2 {
		fmt.Fprintln(os.Stderr, "usage: record [-for TIME] TITLE COMMAND [ARG...] >FILE.svg")
		os.Exit(2)
	}
	svg, err := record(flag.Arg(0), *limit, flag.Args()[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
	fmt.Print(svg)
}

func record(title string, limit time.Duration, command []string) (_ string, err error) {
	dir, err := os.MkdirTemp("", "record")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	status := filepath.Join(dir, "status")
	// The shell stays, so that the last lines can be read.
	const script = `printf '%s\n' "$1"; shift; "$@"; echo $? >"$0"; exec cat`
	t := terminal{filepath.Join(dir, "socket")}
	_, err = t.tmux(append([]string{"new-session", "-d", "-x", fmt.Sprint(columns), "-y", fmt.Sprint(rows),
		"sh", "-c", script, status, title}, command...)...)
	if err != nil {
		return "", err
	}
	defer func() {
		_, killed := t.tmux("kill-server")
		err = errors.Join(err, killed)
	}()

	var seen film
	began := time.Now()
	for {
		code, done, err := ended(status)
		if err != nil {
			return "", err
		}
		screen, err := t.tmux("capture-pane", "-p")
		if err != nil {
			return "", err
		}
		seen.add(strings.Split(strings.TrimRight(screen, "\n"), "\n"), time.Now())
		switch {
		case done && code != "0":
			return "", fmt.Errorf("%s exited with %s:\n%s", title, code, screen)
		case done:
			return seen.draw(title), nil
		case time.Since(began) > limit:
			return seen.draw(title), t.interrupt(status)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// terminal is one of tmux, with a server of its own.
type terminal struct{ socket string }

func (t terminal) tmux(args ...string) (string, error) {
	all := append([]string{"-S", t.socket, "-f", "/dev/null"}, args...)
	cmd := exec.CommandContext(context.Background(), "tmux", all...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("tmux %s: %w", args[0], err)
	}
	return string(out), err
}

// interrupt ends the command, which has time to clean up.
func (t terminal) interrupt(status string) error {
	if _, err := t.tmux("send-keys", "C-c"); err != nil {
		return err
	}
	for range 500 {
		if _, done, err := ended(status); done || err != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("the command goes on after Ctrl-C")
}

// ended returns the command's exit code, once it is there.
func ended(status string) (code string, done bool, err error) {
	text, err := os.ReadFile(status)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	code = strings.TrimSpace(string(text))
	return code, code != "", err
}
