package faults

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
)

// cell is what docs/store.md says of an event and a method.
type cell struct {
	told, stored string
}

// table reads the table of docs/store.md: its cells by event, then by method.
func table(t *testing.T) map[string]map[string]cell {
	t.Helper()
	page, err := os.ReadFile("../../../docs/store.md")
	if err != nil {
		t.Fatal(err)
	}
	cells, event := make(map[string]map[string]cell), ""
	_, section, _ := strings.Cut(string(page), "\n## When something goes wrong\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(columns) != 5 {
			continue
		}
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		if columns[0] != "" {
			event = columns[0]
			cells[event] = make(map[string]cell)
		}
		for name := range strings.SplitSeq(columns[1], ", ") {
			if _, twice := cells[event][name]; twice {
				t.Errorf("the table says two things of %q and %s", event, name)
			}
			cells[event][name] = cell{columns[2], columns[3]}
		}
	}
	return cells
}

// find returns the cell of a method: its own, or that of all others.
func find(cells map[string]cell, method string) (cell, bool) {
	for _, name := range []string{method, "every write", "the others"} {
		if c, ok := cells[name]; ok {
			return c, true
		}
	}
	return cell{}, false
}

// Each cell of the table in docs/store.md: what the caller of each write is told when each of these
// things happens to it, and what is stored then. An error that is not ErrUncertain means that nothing was written.
func TestTable(t *testing.T) {
	t.Parallel()
	said := table(t)
	known := make(map[string]bool)
	for _, e := range events {
		known[e.name] = true
	}
	for name := range said {
		if !known[name] && name != "what happens" && strings.Trim(name, "-") != "" {
			t.Errorf("the table has %q, which nothing here tests", name)
		}
	}
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			p := newProxy(t, b.URL)
			for _, e := range events {
				want, ok := find(said[e.name], m.name)
				if !ok {
					t.Errorf("the table does not say what becomes of %s when %s", m.name, e.name)
				}
				for _, kind := range kinds {
					if e.kinds == nil || slices.Contains(e.kinds, kind) {
						t.Run(e.name+" ("+kind+")", func(t *testing.T) { check(t, newScene(t, b, p, kind, m), e, want) })
					}
				}
			}
		})
	}
}

// check runs one scene and compares it with what the table says.
func check(t *testing.T, sc *scene, e event, want cell) {
	t.Helper()
	err := e.run(t, sc)
	committed := sc.end(t)
	if got := told(err); got != want.told {
		t.Errorf("the caller is told %s (%v), want %s", got, err, want.told)
	}
	if err != nil && e.cause != nil && !e.cause(err) {
		t.Errorf("error %q hides its cause", err)
	}
	stored := want.stored
	if committed != nil {
		stored = "nothing"
	}
	if got := sc.stored(t); got != stored {
		t.Errorf("stored is %s, want %s", got, stored)
	}
}
