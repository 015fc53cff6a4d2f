package main

import (
	"encoding/xml"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	columnWidth = 7.8
	lineHeight  = 18
	margin      = 16
)

// head is the picture's beginning. A reader who wants no motion, and one whose program knows none, sees the end.
const head = `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img">
<title>%[3]s</title>
<style>
text { font: 13px ui-monospace, Menlo, Consolas, monospace; fill: #e6edf3; white-space: pre }
.gone { opacity: 0 }
@media (prefers-reduced-motion: no-preference) {
text { animation: appear 1ms backwards }
.gone { animation: stay 1ms }
}
@keyframes appear { from { opacity: 0 } }
@keyframes stay { from, to { opacity: 1 } }
</style>
<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>
`

// film is what a screen showed, line by line.
type film struct {
	gone []line
	now  []line // the screen, from its top
	at   time.Duration
	last time.Time // when something changed, which was at
}

// line is a text, and when it was there. Times are as in the film, where no silence is longer than [silence].
type line struct {
	row      int
	text     string
	from, to time.Duration
}

// add adds what the screen shows now.
func (f *film) add(screen []string, now time.Time) {
	var at time.Duration
	if !f.last.IsZero() {
		at = f.at + min(now.Sub(f.last), silence).Round(100*time.Millisecond)
	}
	for row := range max(len(screen), len(f.now)) {
		if row == len(f.now) {
			f.now = append(f.now, line{row: row})
		}
		text := ""
		if row < len(screen) {
			text = screen[row]
		}
		l := &f.now[row]
		if l.text == text {
			continue
		}
		if l.text != "" && at > l.from {
			l.to = at
			f.gone = append(f.gone, *l)
		}
		*l = line{row: row, text: text, from: at}
		f.at, f.last = at, now
	}
}

// draw draws all lines, each of which is seen while it was there.
func (f *film) draw(title string) string {
	width, height := 0, 0
	var lines strings.Builder
	for _, l := range append(f.gone, f.now...) {
		if l.text == "" {
			continue
		}
		width, height = max(width, utf8.RuneCountInString(l.text)), max(height, l.row+1)
		class, lasts := "", ""
		if l.to > 0 {
			class, lasts = ` class="gone"`, fmt.Sprintf("; animation-duration: %.1fs", (l.to-l.from).Seconds())
		}
		fmt.Fprintf(&lines, `<text x="%d" y="%d"%s style="animation-delay: %.1fs%s">%s</text>`+"\n",
			margin, margin+13+l.row*lineHeight, class, l.from.Seconds(), lasts, escape(l.text))
	}
	return fmt.Sprintf(head, int(float64(width)*columnWidth)+2*margin, height*lineHeight+2*margin, escape(title)) +
		lines.String() + "</svg>\n"
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}
