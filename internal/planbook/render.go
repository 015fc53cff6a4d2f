package main

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

//go:embed plans.md.tmpl
var layout string

// document is what the layout shows.
type document struct {
	Version  int
	Settings [][2]string
	Pages    []page
	Optional optional
}

// titles are the sections, one a file, in the order of a task's life.
var titles = [][2]string{
	{"create", "Create"}, {"read", "Read"}, {"change", "Change"}, {"work", "Work"}, {"upkeep", "Upkeep"},
}

func render(d document) (string, error) {
	find := func(query, example string) (measured, error) {
		for _, p := range d.Pages {
			for _, m := range p.Measured {
				if p.Name == query && m.Name == example {
					return m, nil
				}
			}
		}
		return measured{}, fmt.Errorf("the layout names an example that the book does not have: %s, %s", query, example)
	}
	t, err := template.New("plans").Funcs(template.FuncMap{
		"number":  number,
		"indexes": indexes,
		"anchor":  strings.ToLower,
		"titles":  func() [][2]string { return titles },
		"in": func(file string) (list []page) {
			for _, p := range d.Pages {
				if p.File == file {
					list = append(list, p)
				}
			}
			return list
		},
		"custom": func(query, example string) (string, error) {
			m, err := find(query, example)
			return number(m.Custom.Pages), err
		},
		"generic": func(query, example string) (string, error) {
			m, err := find(query, example)
			return number(m.Generic.Pages), err
		},
	}).Parse(layout)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	err = t.Execute(&b, d)
	return b.String(), err
}

// Values shows the arguments in the order in which the SQL names them.
func (m measured) Values(params []string) string {
	var list []string
	for _, name := range params {
		list = append(list, fmt.Sprintf("`@%s = %s`", name, m.Args[name]))
	}
	return strings.Join(list, ", ")
}

// Trap says whether the server, left alone, takes a generic plan that costs twice the custom one or more.
func (m measured) Trap() bool { return m.Auto == "generic" && m.Generic.Pages >= 2*m.Custom.Pages }

// Same says whether both plans read the same in the same order.
func (m measured) Same() bool { return m.Custom.Shape() == m.Generic.Shape() }

// Budget is one figure, or the custom and the generic one.
func (e example) Budget() string {
	if e.Custom == e.Generic {
		return number(e.Custom)
	}
	return number(e.Custom) + " / " + number(e.Generic)
}

func indexes(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return "`" + strings.Join(names, "` or `") + "`"
}

// number writes 12345 as 12,345.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
