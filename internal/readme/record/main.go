// Command record runs a command, shows what it prints, and draws that as a terminal in which each line appears when it
// did:
//
//	go run ./internal/readme/record COMMAND [ARG...] >FILE.svg
package main

import (
	"bufio"
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columnWidth = 7.8
	lineHeight  = 18
	margin      = 16
	silence     = 2 * time.Second
)

// head is the picture's beginning. A reader who wants no motion, and one whose program knows none, sees all lines.
const head = `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>%[3]s</title>
<style>
text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre }
@media (prefers-reduced-motion: no-preference) { text { animation: appear 1ms backwards } }
@keyframes appear { from { opacity: 0 } }
</style>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
`

type line struct {
	text string
	at   time.Duration // when it appears, each longer silence having been cut to [silence]
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: record COMMAND [ARG...] >FILE.svg")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "record:", err)
		os.Exit(1)
	}
}

func run(command []string) error {
	cmd := exec.CommandContext(context.Background(), command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := []line{{text: "$ " + strings.Join(command, " ")}}
	var at time.Duration
	last := time.Now()
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		fmt.Fprintln(os.Stderr, scanner.Text())
		at += min(time.Since(last), silence)
		last = time.Now()
		lines = append(lines, line{scanner.Text(), at})
	}
	if err := scanner.Err(); err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	_, err = fmt.Print(draw(lines))
	return err
}

// draw draws the lines below each other.
func draw(lines []line) string {
	var svg strings.Builder
	columns := 0
	for _, l := range lines {
		columns = max(columns, utf8.RuneCountInString(l.text))
	}
	width, height := int(float64(columns)*columnWidth)+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(&svg, head, width, height, escape(lines[0].text))
	for i, l := range lines {
		fmt.Fprintf(&svg, `<text x="%d" y="%d" style="animation-delay: %.1fs">%s</text>`+"\n",
			margin, margin+13+i*lineHeight, l.at.Seconds(), escape(l.text))
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}
