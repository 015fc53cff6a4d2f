package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// query is one query of the folder queries, as it stands there.
type query struct {
	Name   string
	Cmd    string // sqlc's: one, many, exec, execrows, copyfrom
	File   string // without folder and ending
	Doc    string
	SQL    string   // without the semicolon
	Params []string // in the order of their first use, which is the order of $1, $2, …
}

var (
	header    = regexp.MustCompile(`(?m)^-- name: (\w+) :(\w+)\n`)
	parameter = regexp.MustCompile(`@(\w+)`)
)

// readQueries returns the queries of a folder, in the order of the files' names and within a file as
// they stand, but for those that are for Citus: their plans are on its nodes.
func readQueries(dir string) ([]query, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.sql"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no queries in %q: run from the module's root", dir)
	}
	var list []query
	for _, file := range files {
		if filepath.Base(file) == "citus.sql" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		list = append(list, parseQueries(strings.TrimSuffix(filepath.Base(file), ".sql"), string(text))...)
	}
	return list, nil
}

// nullable is a parameter that may be NULL.
var nullable = regexp.MustCompile(`sqlc\.narg\((\w+)\)`)

func parseQueries(file, text string) []query {
	var list []query
	heads := header.FindAllStringSubmatchIndex(text, -1)
	for i, h := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		q := query{Name: text[h[2]:h[3]], Cmd: text[h[4]:h[5]], File: file}
		var doc, sql []string
		for line := range strings.Lines(text[h[1]:end]) {
			line = strings.TrimRight(line, "\n")
			if comment, ok := strings.CutPrefix(line, "--"); ok && len(sql) == 0 {
				doc = append(doc, strings.TrimSpace(comment))
				continue
			}
			sql = append(sql, line)
		}
		q.Doc = strings.Join(doc, "\n")
		q.SQL = strings.TrimSuffix(strings.TrimSpace(strings.Join(sql, "\n")), ";")
		q.SQL = nullable.ReplaceAllString(q.SQL, "@$1")
		for _, m := range parameter.FindAllStringSubmatch(q.SQL, -1) {
			if !slices.Contains(q.Params, m[1]) {
				q.Params = append(q.Params, m[1])
			}
		}
		list = append(list, q)
	}
	return list
}

// numbered returns the statement as it is sent, with $1, $2, … for its parameters.
func (q query) numbered() string {
	return parameter.ReplaceAllStringFunc(q.SQL, func(name string) string {
		return fmt.Sprintf("$%d", slices.Index(q.Params, name[1:])+1)
	})
}

// writes says whether the query changes rows.
func (q query) writes() bool { return !strings.HasPrefix(q.SQL, "SELECT") }
