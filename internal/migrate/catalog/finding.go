package catalog

import (
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// The severities of a Finding.
const (
	Block  = "block"  // must be put right by hand
	Repair = "repair" // a later migration puts it right
	Note   = "note"   // does no harm
)

// Finding is one difference between what should be and what is, in the words of a report.
type Finding struct {
	Kind     string `json:"kind"` // of an object (Table, Column, …), or data or history
	Object   string `json:"object"`
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
	Severity string `json:"severity"`
	Cause    string `json:"cause"` // what made it likely, and the way out; may be empty
}

// Judge compares the live table with the expected one, which is how it looks once version is applied:
// what a later migration puts right is a Repair. others is what other migrations create; nothing else may
// have their names.
func Judge(expected, live []Item, version int64, others []Item) []Finding {
	var list []Finding
	for _, d := range diff(expected, live) {
		f := judge(d, version, others)
		if d.Kind == Table && d.Object == "tasks" {
			return []Finding{f} // it is no ordinary table: nothing else about it matters
		}
		list = append(list, f)
	}
	return list
}

func judge(d difference, version int64, others []Item) Finding {
	f := Finding{Kind: d.Kind, Object: d.Object, Expected: d.Expected, Actual: d.Actual}
	switch {
	case d.Kind == Column, d.Kind == Sequence:
		f.Object = "tasks." + d.Object
	case d.Kind == Table && d.Object != "tasks":
		f.Object = "tasks (" + d.Object + ")"
	case d.Kind == Function:
		f.Object = d.Object + "()"
	}
	if d.Expected == "" {
		f.Expected = "nothing of that name"
	}
	if d.Actual == "" {
		f.Actual = "missing"
	}
	if d.extra() && inTheWay(d, others) {
		f.Severity, f.Cause = Block, "a later migration creates one of that name; rename this one first"
		return f
	}
	r := rules[slices.IndexFunc(rules, func(r rule) bool { return r.when(d) })]
	f.Severity = r.severity
	object, actual := d.Object, d.Actual
	if d.Kind != Child { // which the server has quoted
		object = quoted(object)
	}
	if d.Renamed {
		actual = quoted(actual)
	}
	words := strings.NewReplacer("{object}", object, "{expected}", d.Expected, "{actual}", actual,
		"{sequence}", strings.SplitN(d.Actual, ": ", 2)[0])
	f.Cause = words.Replace(r.cause)
	if r.mendedBy > version {
		f.Severity = Repair
		f.Cause += "; `taskmigrate up` puts it right"
	}
	return f
}

var plainName = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// quoted is a name as SQL takes it.
func quoted(name string) string {
	if plainName.MatchString(name) {
		return name
	}
	return pgx.Identifier{name}.Sanitize()
}

// inTheWay tells whether an extra object has the name of one that another migration creates. An index
// that is as the migration makes it may stay.
func inTheWay(extra difference, others []Item) bool {
	return slices.ContainsFunc(others, func(item Item) bool {
		if item.Kind != extra.Kind || item.Object != extra.Object {
			return false
		}
		switch item.Kind {
		case Index:
			return item.Aspect == Definition && extra.Actual != item.Value && extra.Actual != item.Value+" INVALID"
		case SideTable:
			return !strings.Contains(item.Object, ".")
		case Constraint, Trigger, Function:
			return true
		}
		return false
	})
}
