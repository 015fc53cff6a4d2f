package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/tasklane/tasks/internal/migrate"
)

// plan is what `plan` adds to the report. Its text is SQL, with the rest in comments.
type plan struct {
	Rows       int64       `json:"table_rows"` // the planner's estimate; -1: unknown
	Bytes      int64       `json:"table_bytes"`
	InTheWay   []string    `json:"in_the_way"`
	Statements []statement `json:"statements"`
}

type statement struct {
	File        string `json:"file"`
	Number      int    `json:"number"`
	SQL         string `json:"sql"`
	Args        []any  `json:"args"`
	Transaction bool   `json:"transaction"`
	Lock        string `json:"lock"`
	Blocks      string `json:"blocks"`
}

func newPlan(p migrate.Plan) *plan {
	out := &plan{Rows: p.Rows, Bytes: p.Bytes, InTheWay: append([]string{}, p.InTheWay...), Statements: []statement{}}
	for _, s := range p.Statements {
		out.Statements = append(out.Statements, statement(s))
	}
	return out
}

func (p *plan) writeText(w io.Writer) {
	if len(p.Statements) == 0 {
		fmt.Fprintln(w, "-- nothing to do")
		return
	}
	rows := "an unknown number of rows"
	if p.Rows >= 0 {
		rows = fmt.Sprintf("about %d rows", p.Rows)
	}
	if p.Bytes > 0 {
		fmt.Fprintf(w, "-- tasks: %s, %.1f MB with its indexes\n", rows, float64(p.Bytes)/1e6)
	} else {
		fmt.Fprintln(w, "-- tasks: no table yet")
	}
	fmt.Fprintf(w, "-- one run at a time: the session holds the advisory lock %d throughout\n", migrate.RunLockID)
	for _, who := range p.InTheWay {
		fmt.Fprintf(w, "-- in the way now: %s\n", who)
	}
	file := "-"
	for _, s := range p.Statements {
		if s.File != file {
			file = s.File
			fmt.Fprintf(w, "\n-- %s\n", heading(s))
		}
		if s.Lock != "" {
			fmt.Fprintf(w, "-- lock: %s", s.Lock)
			if s.Blocks != "" {
				fmt.Fprintf(w, "; blocks %s", s.Blocks)
			}
			fmt.Fprintln(w)
		}
		sql := strings.TrimSpace(s.SQL)
		fmt.Fprint(w, sql)
		if !strings.HasSuffix(sql, ";") {
			fmt.Fprint(w, ";")
		}
		for i, arg := range s.Args {
			fmt.Fprintf(w, " -- $%d = %v", i+1, arg)
		}
		fmt.Fprintln(w)
	}
}

func heading(s statement) string {
	switch {
	case s.File == "":
		return "preparation: goose's table"
	case s.Transaction:
		return s.File + ", in a transaction"
	}
	return s.File + ", without a transaction"
}
