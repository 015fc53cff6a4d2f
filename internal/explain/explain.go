// Package explain reads what EXPLAIN says of a statement: pages and indexes, not time.
package explain

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Command makes the server run the statement that follows and tell its plan, as Read expects it.
const Command = "EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) "

// Plan is what EXPLAIN said, without what differs from run to run.
type Plan struct {
	Text    string
	Pages   int      // of tables and indexes, each access counted, found in the buffers or read
	Indexes []string // in alphabetical order
	SeqScan bool     // of tasks
}

var (
	actualRows = regexp.MustCompile(`\(actual rows=`)
	indexUse   = regexp.MustCompile(`Index (?:Only )?Scan (?:Backward )?using (\w+) on |Bitmap Index Scan on (\w+)`)
	shared     = regexp.MustCompile(`shared((?: \w+=\d+)+)`)
	accesses   = regexp.MustCompile(` (?:hit|read)=(\d+)`)
	memory     = regexp.MustCompile(`  (?:Memory(?: Usage)?|Disk|Peak Memory Usage): \d+kB`)
	longArray  = regexp.MustCompile(`'\{([^,}']*)(?:,[^,}']*){8,}\}'`)
)

// Read takes the lines that Command prints. Whether a page was found in the buffers, and whether it had to be
// written, is chance: only the sum is kept.
func Read(lines []string) Plan {
	var p Plan
	var kept []string
	for _, line := range lines {
		if strings.HasPrefix(line, "Planning:") {
			break // the catalog's pages, which depend on what the session has seen before
		}
		if text := strings.TrimLeft(line, " "); strings.HasPrefix(text, "Buffers: ") {
			n := countPages(text)
			if len(kept) > 0 && p.Pages == 0 && countNodes(kept) == 1 {
				p.Pages = n // the top node's figure includes those below
			}
			if n > 0 {
				kept = append(kept, line[:len(line)-len(text)]+"Pages: "+strconv.Itoa(n))
			}
			continue
		}
		for _, m := range indexUse.FindAllStringSubmatch(line, -1) {
			p.Indexes = append(p.Indexes, m[1]+m[2])
		}
		p.SeqScan = p.SeqScan || strings.Contains(line, "Seq Scan on tasks")
		line = memory.ReplaceAllString(line, "")
		kept = append(kept, longArray.ReplaceAllString(line, "'{$1,…}'"))
	}
	p.Text = strings.Join(kept, "\n")
	slices.Sort(p.Indexes)
	p.Indexes = slices.Compact(p.Indexes)
	return p
}

func countPages(buffers string) int {
	n := 0
	if m := shared.FindStringSubmatch(buffers); m != nil {
		for _, m := range accesses.FindAllStringSubmatch(m[1], -1) {
			pages, _ := strconv.Atoi(m[1]) // the pattern admits digits only
			n += pages
		}
	}
	return n
}

func countNodes(lines []string) int {
	n := 0
	for _, line := range lines {
		if actualRows.MatchString(line) {
			n++
		}
	}
	return n
}

// Shape is the plan's nodes with their rows and pages. It leaves out the conditions: a custom plan shows values in
// them, and a generic one parameters.
func (p Plan) Shape() string {
	var nodes []string
	for line := range strings.Lines(p.Text) {
		if actualRows.MatchString(line) || strings.HasPrefix(strings.TrimSpace(line), "Pages: ") {
			nodes = append(nodes, line)
		}
	}
	return strings.Join(nodes, "")
}
