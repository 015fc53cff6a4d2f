package migrate

import (
	"context"
	"slices"
)

// Statement is one statement that a run sends.
type Statement struct {
	File        string `json:"file"`   // the migration that it belongs to; empty: preparation
	Number      int    `json:"number"` // of that file's own statements, from 1; 0: of the transaction or the history
	SQL         string `json:"sql"`
	Args        []any  `json:"args"`
	Transaction bool   `json:"transaction"` // it is part of one
	Lock        string `json:"lock"`        // the strongest lock it takes on a table, in words; empty: none
	Blocks      string `json:"blocks"`      // whom that keeps waiting
}

// script is what a run would have sent.
type script struct {
	list    []Statement
	created map[string]string // the tables that files create, and by which file
}

// statements lists what the run would send. It takes the path of attempt and sends none.
func (r *run) statements(ctx context.Context) ([]Statement, error) {
	r.script = &script{list: []Statement{}, created: map[string]string{}}
	if err := r.attempt(ctx); err != nil {
		return nil, r.failure(ctx, err)
	}
	return r.script.list, nil
}

func (p *script) add(s *session, number int, query string, args []any) {
	file := s.run.file.name
	l := lockOf(query)
	if l.creates {
		p.created[l.table] = file
	}
	statement := Statement{
		File: file, Number: number, SQL: query, Args: slices.Clone(args), Transaction: s.inTx, Lock: l.String(),
	}
	if by, ok := p.created[l.table]; !ok || by != file { // until the file's end nobody else sees a new table
		statement.Blocks = whomBlocks[l.mode]
	}
	p.list = append(p.list, statement)
}
