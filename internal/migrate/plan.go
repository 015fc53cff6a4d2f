package migrate

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
)

// Plan is what Up would send, and what it would meet.
type Plan struct {
	Schema     string      `json:"schema"`       // where tasks lives; the session's search_path
	RunLock    int64       `json:"run_lock"`     // the advisory lock that the session holds throughout
	Unadopted  bool        `json:"unadopted"`    // Adopt comes first: this is what Up sends after it
	Lacks      []string    `json:"lacks_rights"` // what the role lacks
	Recorded   []string    `json:"recorded"`     // files whose work is there already, so that they are only recorded
	Rows       int64       `json:"table_rows"`   // as the planner estimates them; -1: never analyzed or no table
	Bytes      int64       `json:"table_bytes"`  // with the indexes
	InTheWay   []string    `json:"in_the_way"`   // other sessions' open transactions that hold a lock on tasks
	Statements []Statement `json:"statements"`
}

// Plan lists what Up would send, on the path that Up itself takes, without sending it. It only reads, and
// does so beside a run that is under way.
func (m *Migrator) Plan(ctx context.Context, to int64) (Plan, []Migration, error) {
	if err := m.checkVersion(to); err != nil {
		return Plan{}, nil, err
	}
	conn, m, err := m.connect(ctx)
	if err != nil {
		return Plan{}, nil, err
	}
	plan, list, r, err := m.survey(ctx, conn, to)
	closeConn(conn)
	if err != nil {
		return Plan{}, list, asError(ctx, err)
	}
	plan.Statements, err = r.statements(ctx)
	return plan, list, err
}

// survey is all of a plan but its statements.
func (m *Migrator) survey(ctx context.Context, conn *pgx.Conn, to int64) (Plan, []Migration, *run, error) {
	r := m.newRun(to, false)
	r.script = newScript()
	list, todo, err := r.todo(ctx, conn)
	if err != nil {
		return Plan{}, list, nil, err
	}
	plan := Plan{
		Schema: m.home.schema, RunLock: m.home.lockID(), Unadopted: r.unadopted,
		Lacks: []string{}, Recorded: []string{}, InTheWay: []string{},
	}
	for _, s := range todo {
		if s.onlyRecord {
			plan.Recorded = append(plan.Recorded, s.name)
		}
	}
	lacks, err := m.lacks(ctx, conn)
	if err != nil {
		return Plan{}, list, nil, err
	}
	for _, right := range lacks {
		plan.Lacks = append(plan.Lacks, right.What)
	}
	err = conn.QueryRow(ctx, `
SELECT coalesce(max(reltuples), -1)::bigint, coalesce(max(pg_total_relation_size(oid)), 0)
FROM pg_class WHERE oid = to_regclass('tasks')`).Scan(&plan.Rows, &plan.Bytes)
	if err != nil {
		return Plan{}, list, nil, err
	}
	users, err := backends(ctx, conn, tableUsers)
	if err != nil {
		return Plan{}, list, nil, err
	}
	for _, b := range users {
		plan.InTheWay = append(plan.InTheWay, b.String())
	}
	return plan, list, r, nil
}

// Statement is one statement that a run sends.
type Statement struct {
	File        string `json:"file"`   // the migration that it belongs to; empty: preparation
	Number      int    `json:"number"` // of that file's own statements, from 1; 0: of the transaction or the history
	SQL         string `json:"sql"`
	Args        []any  `json:"args"`
	Transaction bool   `json:"transaction"` // it is part of one
	Repeats     bool   `json:"repeats"`     // it is sent again, a slice of a back-fill each time, until it is through
	Lock        string `json:"lock"`        // the strongest lock it takes on a table, in words; empty: none
	Blocks      string `json:"blocks"`      // whom that keeps waiting
}

// Heading names the part of a plan that the statement belongs to.
func (s Statement) Heading() string {
	switch {
	case s.File == "":
		return "preparation: the history"
	case s.Transaction:
		return s.File + ", in a transaction"
	}
	return s.File + ", without a transaction"
}

// Effect is the lock that the statement takes and whom that blocks, in words; empty: it takes none.
func (s Statement) Effect() string {
	text := s.Lock
	if s.Repeats {
		text += "; sent again, a slice each time, until it is through"
	}
	if s.Blocks != "" {
		text += "; blocks " + s.Blocks
	}
	return text
}

// script is what a run would have sent.
type script struct {
	list    []Statement
	created map[string]string // the tables that files create, and by which file
}

func newScript() *script { return &script{list: []Statement{}, created: map[string]string{}} }

// statements lists what the run would send. It takes the path of attempt and sends none.
func (r *run) statements(ctx context.Context) ([]Statement, error) {
	r.script = newScript()
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
		Repeats: isBackfill(query),
	}
	if by, ok := p.created[l.table]; !ok || by != file { // until the file's end nobody else sees a new table
		statement.Blocks = whomBlocks[l.mode]
	}
	p.list = append(p.list, statement)
}
