package catalog

import (
	"cmp"
	"slices"
)

// difference is one way in which the live table is not as expected.
type difference struct {
	Kind, Object string
	Aspect       string // empty: the whole object is missing, extra or has another name
	Expected     string // empty: the object is extra
	Actual       string // empty: the object is missing; for another name, that name
	Renamed      bool   // the object is there under the name in Actual
}

func (d difference) extra() bool   { return d.Expected == "" }
func (d difference) missing() bool { return d.Actual == "" }

type object struct{ kind, name string }

// allAspects is the order in which the aspects of an object are compared and described.
var allAspects = []string{Kind, Setting, Type, Nullable, Default, Definition, State, Body, Owner, Spare, Limits, Cache}

// diff lists what differs from the expected objects, in their order, and then the extra ones. Indexes and
// constraints are found by their definition if not by their name.
func diff(expected, live []Item) []difference {
	want, have := group(expected), group(live)
	var list []difference
	taken := map[object]bool{}
	for _, o := range order(expected) {
		if _, ok := have[o]; ok {
			taken[o] = true
			list = append(list, aspects(o, want[o], have[o])...)
			continue
		}
		if twin, ok := sameUnderAnotherName(o, want, have); ok && !taken[twin] {
			taken[twin] = true
			list = append(list, difference{
				Kind: o.kind, Object: o.name, Expected: o.name, Actual: twin.name, Renamed: true,
			})
			continue
		}
		list = append(list, difference{Kind: o.kind, Object: o.name, Expected: describe(want[o])})
	}
	for _, o := range order(live) {
		if !taken[o] {
			list = append(list, difference{Kind: o.kind, Object: o.name, Actual: describe(have[o])})
		}
	}
	return list
}

func group(items []Item) map[object]map[string]string {
	objects := map[object]map[string]string{}
	for _, item := range items {
		o := object{item.Kind, item.Object}
		if objects[o] == nil {
			objects[o] = map[string]string{}
		}
		objects[o][item.Aspect] = item.Value
	}
	return objects
}

// order lists the objects once each, tables and columns before what is built on them.
func order(items []Item) []object {
	kinds := []string{Table, Column, Sequence, Constraint, Index, Trigger, Rule, Child, Function, SideTable}
	var list []object
	for _, item := range items {
		if o := (object{item.Kind, item.Object}); !slices.Contains(list, o) {
			list = append(list, o)
		}
	}
	slices.SortStableFunc(list, func(a, b object) int {
		return cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind))
	})
	return list
}

func aspects(o object, want, have map[string]string) []difference {
	var list []difference
	for _, aspect := range allAspects {
		if want[aspect] != have[aspect] {
			list = append(list, difference{
				Kind: o.kind, Object: o.name, Aspect: aspect, Expected: want[aspect], Actual: have[aspect],
			})
		}
	}
	return list
}

// sameUnderAnotherName finds the object that is as o should be and that nobody expects under its name.
func sameUnderAnotherName(o object, want, have map[object]map[string]string) (object, bool) {
	if o.kind != Index && o.kind != Constraint {
		return object{}, false
	}
	var twins []object
	for other, values := range have {
		if _, expected := want[other]; other.kind == o.kind && !expected && len(aspects(o, want[o], values)) == 0 {
			twins = append(twins, other)
		}
	}
	if len(twins) == 0 {
		return object{}, false
	}
	return slices.MinFunc(twins, func(a, b object) int { return cmp.Compare(a.name, b.name) }), true
}

// describe puts an object's aspects into words.
func describe(values map[string]string) string {
	var text string
	for _, aspect := range allAspects {
		value, ok := values[aspect]
		switch {
		case !ok, aspect == State && value == Valid, aspect == Default && value == NoDefault:
			continue
		case aspect == Default:
			value = "DEFAULT " + value
		}
		if text != "" {
			text += " "
		}
		text += value
	}
	return text
}
