package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// chart is a picture of some workloads. Each workload has one bar for each entry. The fastest entry has the
// longest bar, and the others are in proportion to it.
type chart struct {
	file, title string
	workloads   []string
	notes       map[string]string // the name of each workload in this picture
}

var charts = []chart{
	{
		"create.svg", "Creating tasks: rows per second",
		[]string{"create-1", "create-8", "create-64", "create-many-1000"},
		map[string]string{
			"create-1":         "one by one, 1 goroutine",
			"create-8":         "one by one, 8 goroutines",
			"create-64":        "one by one, 64 goroutines",
			"create-many-1000": "1,000 in one call",
		},
	},
	{
		"read.svg", "Reading tasks: rows per second",
		[]string{"get-8", "list-100"},
		map[string]string{"get-8": "get by id, 8 goroutines", "list-100": "list 100"},
	},
	{
		"work.svg", "Claim and complete, 4 workers: tasks per second",
		[]string{"work-1", "work-10", "work-100", "work-500"},
		map[string]string{
			"work-1":   "one by one",
			"work-10":  "batches of 10",
			"work-100": "batches of 100",
			"work-500": "batches of 500",
		},
	},
}

// The colours are legible on a white and on a black page.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #57606a }
.title { font-size: 16px; font-weight: 600 } .group { font-weight: 600 }
.bar { fill: #8c959f } .ours { fill: #2f81f7 }
@media (prefers-color-scheme: dark) { text { fill: #9da7b3 } .bar { fill: #6e7681 } }
</style>
`

// draw writes the charts of the workloads that were measured.
func draw(rep *report, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // pictures to be seen
		return err
	}
	pictures := make(map[string]string)
	for _, c := range charts {
		pictures[c.file] = bars(c, rep)
	}
	pictures["scale.svg"] = scaleChart(rep)
	for file, svg := range pictures {
		if svg == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// find returns the results of a workload, if it was measured.
func (rep *report) find(name string) (result, bool) {
	for _, r := range rep.Results {
		if r.Name == name {
			return r, true
		}
	}
	return result{}, false
}

// bars draws c, or returns "" if some of its workloads were not measured.
func bars(c chart, rep *report) string {
	const left, width, line = 110, 420, 18
	var b strings.Builder
	y := 30
	for _, name := range c.workloads {
		r, ok := rep.find(name)
		if !ok || len(r.Samples[ours]) == 0 {
			return ""
		}
		longest := 0.0
		for _, label := range r.Labels {
			longest = max(longest, r.medianOf(label, rate))
		}
		y += 24
		fmt.Fprintf(&b, `<text class="group" x="10" y="%d">%s</text>`+"\n", y, html.EscapeString(c.notes[name]))
		y += 6
		for _, label := range r.Labels {
			v := r.medianOf(label, rate)
			class := "bar"
			if label == ours {
				class = "ours"
			}
			name := label
			if label == "gorm" && strings.HasPrefix(r.Name, "work-") {
				name = "gorm, singly" // it has no claim of many
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, left-8, y+13, html.EscapeString(name))
			w := width * v / longest
			fmt.Fprintf(&b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`, class, left, y+2, w, line-4)
			fmt.Fprintf(&b, `<text x="%.1f" y="%d">%s</text>`+"\n", left+w+6, y+13, thousands(v))
			y += line
		}
	}
	return frame(c.title, left+width+80, y+12, b.String())
}

func frame(title string, width, height int, body string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" `+
		`role="img" aria-label="%[3]s">`+"\n%[4]s"+`<text class="title" x="10" y="24">%[3]s</text>`+"\n%[5]s</svg>\n",
		width, height, html.EscapeString(title), style, body)
}

// thousands prints v rounded to three significant digits, with commas.
func thousands(v float64) string {
	if v >= 1000 {
		step := math.Pow(10, math.Floor(math.Log10(v))-2)
		v = math.Round(v/step) * step
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// scaleChart draws the time of a claim against the size of the table, both logarithmic.
func scaleChart(rep *report) string {
	const left, top, width, height = 70, 60, 420, 200
	type point struct{ rows, ms float64 }
	lines := make(map[string][]point)
	var labels []string
	for _, r := range rep.Results {
		size, ok := strings.CutPrefix(r.Name, "scale-")
		if !ok {
			continue
		}
		rows, _ := strconv.ParseFloat(size, 64) // claimAt wrote it
		for _, label := range r.Labels {
			if lines[label] == nil {
				labels = append(labels, label)
			}
			lines[label] = append(lines[label], point{rows, r.medianOf(label, p50)})
		}
	}
	if len(lines[ours]) < 2 {
		return ""
	}
	x := func(rows float64) float64 { return left + width*(math.Log10(rows)-4)/3 } // 10 k to 10 M
	y := func(ms float64) float64 { return top + height*(1-(math.Log10(ms)+1)/3) } // 0.1 to 100 ms
	var b strings.Builder
	for _, ms := range []float64{0.1, 1, 10, 100} {
		fmt.Fprintf(&b, `<path d="M%d %.1fh%d" stroke="#8c959f" stroke-opacity=".3"/>`, left, y(ms), width)
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end">%g ms</text>`+"\n", left-8, y(ms)+4, ms)
	}
	for _, rows := range []float64{1e4, 1e5, 1e6, 1e7} {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(rows), top+height+20, thousands(rows))
	}
	// From the top down: a name is moved down if it would cover the name above it.
	end := func(label string) point { return lines[label][len(lines[label])-1] }
	slices.SortFunc(labels, func(a, b string) int { return cmp.Compare(end(b).ms, end(a).ms) })
	free := 0.0
	for _, label := range labels {
		color, path := "#8c959f", ""
		if label == ours {
			color = "#2f81f7"
		}
		for i, p := range lines[label] {
			path += fmt.Sprintf("%s%.1f %.1f", cmp.Or(map[bool]string{true: "M"}[i == 0], "L"), x(p.rows), y(p.ms))
		}
		free = max(free+15, y(end(label).ms)+4)
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%.1f" y="%.1f">%s</text>`+"\n",
			path, color, x(end(label).rows)+8, free, html.EscapeString(label))
	}
	return frame("Time of a claim by rows in the table (p50)", left+width+110, top+height+36, b.String())
}
