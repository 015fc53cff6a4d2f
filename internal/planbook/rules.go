package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/tasklane/tasks/internal/explain"
)

// page is a query with its entry and what was measured.
type page struct {
	query
	entry
	Measured []measured
}

// unmatched names the queries without an entry and the entries without a query.
func unmatched(queries []query, b map[string]entry) []error {
	var list []error
	known := map[string]bool{}
	for _, q := range queries {
		known[q.Name] = true
		e, ok := b[q.Name]
		switch {
		case !ok:
			list = append(list, fmt.Errorf("%s: no entry in the plan book (internal/planbook)", q.Name))
		case len(e.Examples) == 0 && q.Cmd != "copyfrom":
			list = append(list, fmt.Errorf("%s: its entry has no example", q.Name))
		}
	}
	for name := range b {
		if !known[name] {
			list = append(list, fmt.Errorf("%s: an entry without a query", name))
		}
	}
	slices.SortFunc(list, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return list
}

// findings names the plans that break the page's rules.
func (p page) findings() []error {
	var list []error
	for _, m := range p.Measured {
		for _, kind := range []struct {
			name   string
			plan   explain.Plan
			budget int
		}{{"custom", m.Custom, m.example.Custom}, {"generic", m.Generic, m.example.Generic}} {
			fail := func(format string, args ...any) {
				list = append(list, fmt.Errorf("%s, %s, %s plan: %s", p.Name, m.Name, kind.name, fmt.Sprintf(format, args...)))
			}
			used := slices.ContainsFunc(kind.plan.Indexes, func(i string) bool { return slices.Contains(p.Index, i) })
			switch {
			case kind.plan.SeqScan && !p.SeqScan:
				fail("reads the whole table instead of %s", strings.Join(p.Index, " or "))
			case len(p.Index) > 0 && !used && !kind.plan.SeqScan:
				fail("uses %s instead of %s", strings.Join(kind.plan.Indexes, " and "), strings.Join(p.Index, " or "))
			}
			if kind.plan.Pages > kind.budget {
				fail("touches %d pages, its budget is %d", kind.plan.Pages, kind.budget)
			}
		}
	}
	return list
}

// compare says where the file differs from what it should be.
func compare(file, want string) []error {
	text, err := os.ReadFile(file)
	if err != nil {
		return []error{err}
	}
	if string(text) == want {
		return nil
	}
	stale := fmt.Errorf("%s is stale: run `make plans` and review what changed", file)
	have, should := strings.Split(string(text), "\n"), strings.Split(want, "\n")
	if on := slices.IndexFunc(have, versionLine); on < 0 || !slices.Contains(should, have[on]) {
		return []error{fmt.Errorf("%s was written on another major version of PostgreSQL: name a server of that version "+
			"in TASKSTORE_TEST_POSTGRES_BINDIR or TASKSTORE_TEST_DATABASE_URL", file)}
	}
	for i := range min(len(have), len(should)) {
		if have[i] != should[i] {
			return []error{errors.Join(stale,
				fmt.Errorf("line %d, in the file:  %s", i+1, have[i]),
				fmt.Errorf("line %d, should be:    %s", i+1, should[i]))}
		}
	}
	return []error{stale}
}

func versionLine(line string) bool { return strings.HasPrefix(line, "Written on PostgreSQL ") }

// DocQuoted is the query's comment as the lines of a quotation.
func (p page) DocQuoted() string { return strings.ReplaceAll(p.Doc, "\n", "\n> ") }
