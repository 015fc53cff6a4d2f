package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
)

// member is a process of a system: a worker, a producer, or both. It reads commands, a line each, and answers each by a
// line of JSON. So a system in any language is measured in the same way.
//
//	migrate      prepares the database
//	enqueue N    creates N tasks in one call, each with the time at which it was created
//	work N [how] starts a worker with N handlers of a millisecond, and "how" says what kind if there are several
//	mark         tells how long tasks have waited since the last mark
//	stop         stops the worker when all that it has begun is recorded
//
// A few milliseconds after a handler has returned it also says how many have.
type member struct {
	system string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    chan answer
	done   atomic.Int64
	failed error
}

// answer is what a member says.
type answer struct {
	Error string `json:"error,omitempty"`
	Done  int64  `json:"done,omitempty"` // handlers that have returned since the start

	// Answers to mark.
	P50 float64 `json:"p50,omitempty"` // from creation to the handler's start since the last mark, in milliseconds
	P95 float64 `json:"p95,omitempty"`
	P99 float64 `json:"p99,omitempty"`
	CPU float64 `json:"cpu,omitempty"` // of the process since its start, in seconds
}

func start(ctx context.Context, s system, url string) (*member, error) {
	var cmd *exec.Cmd
	if s.node {
		cmd = exec.CommandContext(ctx, "node", "node/member.mjs", s.name, url)
	} else {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd = exec.CommandContext(ctx, self, "member", s.name, url)
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &member{system: s.name, cmd: cmd, in: in, out: make(chan answer)}
	go m.listen(out)
	return m, nil
}

func (m *member) listen(out io.Reader) {
	defer close(m.out)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var a answer
		if m.failed = json.Unmarshal(lines.Bytes(), &a); m.failed != nil {
			return
		}
		if a.Done > 0 {
			m.done.Store(max(a.Done, m.done.Load()))
			continue
		}
		m.out <- a
	}
	m.failed = lines.Err()
}

func (m *member) tell(command string, args ...any) (answer, error) {
	for _, a := range args {
		command += fmt.Sprint(" ", a)
	}
	if _, err := fmt.Fprintln(m.in, command); err != nil {
		return answer{}, fmt.Errorf("%s: %s: %w", m.system, command, err)
	}
	a, ok := <-m.out
	switch {
	case !ok:
		return a, fmt.Errorf("%s ended at %q: %w", m.system, command, cmp.Or(m.failed, io.EOF))
	case a.Error != "":
		return a, fmt.Errorf("%s: %s: %s", m.system, command, a.Error)
	}
	return a, nil
}

// close has the process end.
func (m *member) close() error {
	_ = m.in.Close()
	return m.gone()
}

// kill ends the process in the middle of whatever it does.
func (m *member) kill() error {
	if err := m.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = m.gone() // says that it was killed
	return nil
}

func (m *member) gone() error {
	for range m.out { // until it has ended
	}
	return m.cmd.Wait()
}
