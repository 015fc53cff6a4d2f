package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tasklane/tasks/internal/migrate"
)

func TestProgressOnATerminalIsABarBelowTheLog(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	p := &progress{out: &screen, terminal: true}
	p.update(migrate.Progress{File: "00003.sql", Phase: "building", Done: 1, Total: 4, Rows: 1000})
	for _, part := range []string{"00003.sql: building, 250 of about 1000 rows", "25%"} {
		if !strings.Contains(screen.String(), part) {
			t.Errorf("no %q in %q", part, screen.String())
		}
	}
	if _, err := p.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	if shown := screen.String(); !strings.HasSuffix(shown, "\ra line\n") {
		t.Errorf("the line is in the middle of the bar: %q", shown)
	}
	p.close()
}

func TestProgressElsewhereIsALineEveryFewSeconds(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := &progress{out: &log}
	u := migrate.Progress{File: "00006.sql", Phase: "back-fill", Done: 100, Total: 1000, Rows: 1000}
	p.update(u)
	if log.Len() > 0 {
		t.Errorf("a first sign of life already says %q", log.String())
	}
	p.since, p.logged = p.since.Add(-10*time.Second), p.logged.Add(-logEvery)
	u.Done = 600
	p.update(u)
	p.update(u)
	got := log.String()
	for _, part := range []string{
		"file=00006.sql", "phase=back-fill", "percent=60", `rows="600 of about 1000 rows"`, "left=8s",
	} {
		if !strings.Contains(got, part) {
			t.Errorf("no %q in %q", part, got)
		}
	}
	if strings.Count(got, "\n") != 1 {
		t.Errorf("more than one line: %q", got)
	}
}
