package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// watch shows stats until the context ends, or somebody presses q. The first ones are there. A database that does not
// answer later on ends nothing.
func (a *app) watch(
	ctx context.Context, interval time.Duration, st *stats, look func(context.Context) (*stats, error),
) error {
	defer func() { a.report = report{} }() // all has been said
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	show := a.printStats
	if a.output == "text" && term.IsTerminal(int(a.stdin.Fd())) && term.IsTerminal(int(a.stdout.Fd())) {
		leave, err := a.enterScreen(quit)
		if err != nil {
			return err
		}
		defer leave()
		show = a.drawStats
	}
	var failed *failure
	for {
		show(st, interval, failed)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(interval):
		}
		now, err := look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			failed = asFailure(ctx, err)
		default:
			st, failed = now, nil
		}
	}
}

// printStats prints a line, in JSON a report.
func (a *app) printStats(st *stats, _ time.Duration, failed *failure) {
	r := report{Command: a.report.Command}
	if failed != nil {
		r.fail(failed)
	} else {
		r.Stats, r.text = st, st.line()
	}
	r.write(a.stdout, a.stderr, a.output == "json")
}

// What a terminal does when it gets them.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the cursor is hidden, and long lines are cut
	firstScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// enterScreen takes the terminal's other screen, and calls quit for a q or Ctrl-C. leave gives back what was there.
func (a *app) enterScreen(quit func()) (leave func(), err error) {
	in := int(a.stdin.Fd())
	before, err := term.MakeRaw(in)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(a.stdout, otherScreen)
	go readKeys(a.stdin, quit)
	return func() {
		fmt.Fprint(a.stdout, firstScreen)
		_ = term.Restore(in, before)
	}, nil
}

func readKeys(in *os.File, quit func()) {
	for key := make([]byte, 1); ; {
		if n, err := in.Read(key); err != nil || n == 1 && strings.ContainsRune("qQ\x03", rune(key[0])) {
			quit()
			return
		}
	}
}

// drawStats draws the screen.
func (a *app) drawStats(st *stats, interval time.Duration, failed *failure) {
	_, height, err := term.GetSize(int(a.stdout.Fd()))
	if err != nil || height < 2 {
		height = 24
	}
	const around = 13 // lines that are there however long the tables are
	text := fmt.Sprintf("every %s, q quits\n", interval)
	if failed != nil {
		text = fmt.Sprintf("no answer, tried again every %s, q quits: %s\n", interval, failed)
	}
	text += st.text(max(1, (height-around)/3))
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	lines = lines[:min(len(lines), height)]
	fmt.Fprint(a.stdout, home+strings.Join(lines, clearLine+"\r\n")+clearLine+clearBelow)
}
