package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/explain"
)

func TestEveryQueryHasAnEntryAndEveryEntryAQuery(t *testing.T) {
	t.Parallel()
	queries, err := readQueries("../../queries")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range unmatched(queries, book()) {
		t.Error(err)
	}
	for _, q := range queries {
		for _, ex := range book()[q.Name].Examples {
			for _, name := range q.Params {
				if ex.Args[name] == "" {
					t.Errorf("%s, %s: no value for @%s", q.Name, ex.Name, name)
				}
			}
			if ex.Custom < 1 || ex.Generic < 1 {
				t.Errorf("%s, %s: no budget", q.Name, ex.Name)
			}
		}
	}
}

func TestUnmatched(t *testing.T) {
	t.Parallel()
	queries := []query{{Name: "A", Cmd: "one"}, {Name: "B", Cmd: "one"}, {Name: "C", Cmd: "copyfrom"}}
	got := errors.Join(unmatched(queries, map[string]entry{"B": {}, "C": {}, "D": {}})...)
	want := "A: no entry in the plan book (internal/planbook)\nB: its entry has no example\nD: an entry without a query"
	if got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
}

func TestParseQueries(t *testing.T) {
	t.Parallel()
	got := parseQueries("read", `-- name: One :one
-- Says what it is for,
-- and which index serves it.
SELECT * FROM tasks
WHERE id = @id;

-- name: Two :many
SELECT id FROM tasks -- not the doc
WHERE user_id = @user_id AND id <= @last AND @user_id > 0
LIMIT @max_rows::integer;
`)
	want := []query{
		{Name: "One", Cmd: "one", File: "read", Doc: "Says what it is for,\nand which index serves it.",
			SQL: "SELECT * FROM tasks\nWHERE id = @id", Params: []string{"id"}},
		{Name: "Two", Cmd: "many", File: "read",
			SQL: "SELECT id FROM tasks -- not the doc\n" +
				"WHERE user_id = @user_id AND id <= @last AND @user_id > 0\nLIMIT @max_rows::integer",
			Params: []string{"user_id", "last", "max_rows"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got\n%+v\nwant\n%+v", got, want)
	}
	numbered := "SELECT id FROM tasks -- not the doc\nWHERE user_id = $1 AND id <= $2 AND $1 > 0\nLIMIT $3::integer"
	if sql := got[1].numbered(); sql != numbered {
		t.Errorf("got\n%s\nwant\n%s", sql, numbered)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	byKey := explain.Plan{Pages: 9, Indexes: []string{"tasks_pkey"}}
	whole := explain.Plan{Pages: 9, SeqScan: true}
	for _, c := range []struct {
		name  string
		entry entry
		plan  explain.Plan
		want  string
	}{
		{"fine", entry{Index: []string{"tasks_pkey"}}, byKey, ""},
		{"no index asked for", entry{}, byKey, ""},
		{"other index", entry{Index: []string{"idx_a", "idx_b"}}, byKey, "uses tasks_pkey instead of idx_a or idx_b"},
		{"whole table", entry{Index: []string{"idx_a"}}, whole, "reads the whole table instead of idx_a"},
		{"whole table is fine", entry{Index: []string{"idx_a"}, SeqScan: true}, whole, ""},
		{"too many pages", entry{}, explain.Plan{Pages: 11}, "touches 11 pages, its budget is 10"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := page{query: query{Name: "Query"}, entry: c.entry}
			p.Measured = []measured{{example: example{Name: "rare", Custom: 10, Generic: 10}, Custom: c.plan, Generic: c.plan}}
			var got, want []string
			for _, err := range p.findings() {
				got = append(got, err.Error())
			}
			if c.want != "" {
				want = []string{"Query, rare, custom plan: " + c.want, "Query, rare, generic plan: " + c.want}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestCompareSaysWhatDiffers(t *testing.T) {
	t.Parallel()
	const text = "# Book\n\nWritten on PostgreSQL 15.\n\nIndex Scan\n"
	file := filepath.Join(t.TempDir(), "plans.md")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, now := range map[string]string{
		"":                      text,
		"line 5, should be":     strings.Replace(text, "Index", "Seq", 1),
		"is stale":              text + "\nmore",
		"another major version": strings.Replace(text, "15", "17", 1),
	} {
		got := ""
		if err := errors.Join(compare(file, now)...); err != nil {
			got = err.Error()
		}
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := number(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}
