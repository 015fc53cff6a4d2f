package migrate

import "slices"

// Statement is one statement that a run sends.
type Statement struct {
	File   string // the migration that it belongs to; empty: preparation
	Number int    // of that file's own statements, from 1; 0: of the transaction or the history
	SQL    string
	Args   []any
}

// recording is what a run would have sent.
type recording struct{ list []Statement }

func (p *recording) add(r *run, number int, query string, args []any) {
	p.list = append(p.list, Statement{File: r.file.name, Number: number, SQL: query, Args: slices.Clone(args)})
}
