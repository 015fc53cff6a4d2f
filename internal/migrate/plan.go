package migrate

import (
	"context"
	"slices"
)

// Plan is what Up would send, and what it would meet.
type Plan struct {
	Rows       int64       `json:"table_rows"`  // as the planner estimates them; -1: never analyzed or no table
	Bytes      int64       `json:"table_bytes"` // with the indexes
	InTheWay   []string    `json:"in_the_way"`  // other sessions' open transactions that hold a lock on tasks
	Statements []Statement `json:"statements"`
}

// Plan lists what Up would send, on the path that Up itself takes, without sending it. It only reads, and
// does so beside a run that is under way.
func (m *Migrator) Plan(ctx context.Context, to int64) (Plan, []Migration, error) {
	if err := m.checkVersion(to); err != nil {
		return Plan{}, nil, err
	}
	conn, err := m.connect(ctx)
	if err != nil {
		return Plan{}, nil, err
	}
	defer closeConn(conn)
	r := m.newRun(to, false)
	list, _, err := r.todo(ctx, conn)
	if err != nil {
		return Plan{}, list, err
	}
	plan := Plan{InTheWay: []string{}}
	err = conn.QueryRow(ctx, `
SELECT coalesce(max(reltuples), -1)::bigint, coalesce(max(pg_total_relation_size(oid)), 0)
FROM pg_class WHERE oid = to_regclass('tasks')`).Scan(&plan.Rows, &plan.Bytes)
	if err != nil {
		return Plan{}, list, asError(ctx, err)
	}
	users, err := backends(ctx, conn, tableUsers)
	if err != nil {
		return Plan{}, list, asError(ctx, err)
	}
	for _, b := range users {
		plan.InTheWay = append(plan.InTheWay, b.String())
	}
	plan.Statements, err = r.statements(ctx)
	return plan, list, err
}

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
