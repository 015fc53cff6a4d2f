package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/tasklane/tasks/internal/migrate"
)

// logEvery is how often a line of progress goes to the log where there is no terminal.
const logEvery = 3 * time.Second

// progress shows how far a long statement has come: a bar on a terminal, else lines in the log. The
// log is written through it, so that a line does not end up inside the bar.
type progress struct {
	out      io.Writer
	terminal bool

	mu     sync.Mutex
	bar    *progressbar.ProgressBar // nil: none to be seen
	phase  string
	since  time.Time // when the phase was first seen
	first  int64     // what was done by then
	logged time.Time
}

// Write passes a line of the log on, above the bar.
func (p *progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
	return p.out.Write(line)
}

// close takes the bar away.
func (p *progress) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}

func (p *progress) update(u migrate.Progress) {
	now := time.Now()
	if phase := u.File + ": " + u.Phase; phase != p.phase {
		p.close()
		p.phase, p.since, p.first, p.logged = phase, now, u.Done, now
	}
	if u.Total <= 0 {
		return
	}
	if p.terminal {
		p.draw(u)
	} else if now.Sub(p.logged) >= logEvery {
		p.logged = now
		slog.New(slog.NewTextHandler(p, nil)).Info("progress", "file", u.File, "phase", u.Phase,
			"percent", 100*u.Done/u.Total, "rows", rows(u), "left", p.left(u, now))
	}
}

func (p *progress) draw(u migrate.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil {
		p.bar = progressbar.NewOptions64(u.Total,
			progressbar.OptionSetWriter(p.out),
			progressbar.OptionSetWidth(20),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionClearOnFinish(),
		)
	}
	if u.Total != p.bar.GetMax64() {
		p.bar.ChangeMax64(u.Total)
	}
	p.bar.Describe(p.phase + ", " + rows(u))
	_ = p.bar.Set64(min(u.Done, u.Total))
}

// rows puts the share that is done into rows of the table: the server counts some phases in blocks.
func rows(u migrate.Progress) string {
	return fmt.Sprintf("%d of about %d rows", int64(float64(u.Rows)*float64(u.Done)/float64(u.Total)), u.Rows)
}

// left is how long the phase still takes at its pace so far; 0: cannot be told yet.
func (p *progress) left(u migrate.Progress, now time.Time) time.Duration {
	done := u.Done - p.first
	if done <= 0 {
		return 0
	}
	pace := float64(now.Sub(p.since)) / float64(done)
	return time.Duration(pace * float64(u.Total-u.Done)).Round(time.Second)
}
