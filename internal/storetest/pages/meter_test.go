package pages

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/explain"
)

// meter is a DB that counts the pages which each of the store's statements touches. Before a statement
// is sent, the same text with the same arguments is explained in a transaction that is rolled back.
// The count depends on the plan and on what is stored, not on the machine or its load.
type meter struct {
	*pgxpool.Pool

	t        *testing.T
	planMode string // plan_cache_mode
	off      bool   // count nothing
	seen     []measured
}

// measured is one statement and what it touched.
type measured struct {
	query string // its name in dbgen
	args  []any
	pages int64 // of tables and indexes
	plan  explain.Plan
}

const (
	customPlan  = "force_custom_plan"
	genericPlan = "force_generic_plan"
)

// newMeter returns a meter over connections with pgx's defaults, as services have them.
func newMeter(t *testing.T, b *table, planMode string) *meter {
	t.Helper()
	return &meter{Pool: b.Connect(t, func(*pgxpool.Config) {}), t: t, planMode: planMode}
}

func (m *meter) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	m.count(sql, args)
	return m.Pool.Query(ctx, sql, args...)
}

func (m *meter) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	m.count(sql, args)
	return m.Pool.QueryRow(ctx, sql, args...)
}

func (m *meter) count(sql string, args []any) {
	if !m.off {
		m.seen = append(m.seen, m.explain(sql, args...))
	}
}

// last returns what the latest statement touched.
func (m *meter) last() measured { return m.seen[len(m.seen)-1] }

// explain measures one statement. before is SQL that the same transaction runs first.
func (m *meter) explain(sql string, args ...any) measured { return m.explainAfter(nil, sql, args...) }

// literal is a parameter of the store's statements as SQL has it: a number, a text, or an array of them.
func literal(arg any) string {
	quote := func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
	switch arg := arg.(type) {
	case string:
		return quote(arg)
	case []string:
		quoted := make([]string, len(arg))
		for i, s := range arg {
			quoted[i] = quote(s)
		}
		return "ARRAY[" + strings.Join(quoted, ", ") + "]::text[]"
	case []int64, []int32:
		return "'{" + strings.Trim(strings.ReplaceAll(fmt.Sprint(arg), " ", ","), "[]") + "}'"
	}
	return fmt.Sprintf("%d", arg)
}

func (m *meter) explainAfter(before []string, sql string, args ...any) measured {
	m.t.Helper()
	planMode := m.planMode
	if len(args) > 0 && args[0] == any(pgx.QueryExecModeCacheDescribe) {
		planMode, args = customPlan, args[1:] // an unnamed statement is always planned for its values
	}
	tx, err := m.Begin(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(m.t.Context())) }()
	exec := func(sql string) {
		m.t.Helper()
		if _, err := tx.Exec(m.t.Context(), sql); err != nil {
			m.t.Fatalf("%s: %v", sql, err)
		}
	}
	exec("SET LOCAL plan_cache_mode = " + planMode)
	for _, sql := range before {
		exec(sql)
	}
	exec("PREPARE measured AS " + sql)
	values := make([]string, len(args))
	for i, arg := range args {
		values[i] = literal(arg) // EXECUTE takes no parameters
	}
	list := ""
	if len(values) > 0 {
		list = "(" + strings.Join(values, ", ") + ")"
	}
	rows, err := tx.Query(m.t.Context(), explain.Command+"EXECUTE measured"+list)
	if err != nil {
		m.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		m.t.Fatal(err)
	}
	exec("DEALLOCATE measured") // a rollback would leave it
	query, _, _ := strings.Cut(strings.TrimPrefix(sql, "-- name: "), " ")
	plan := explain.Read(lines)
	return measured{query: query, args: args, pages: int64(plan.Pages), plan: plan}
}

// of returns how many pages the statements of f touched.
func (m *meter) of(f func()) int64 {
	m.seen = nil
	f()
	var pages int64
	for _, s := range m.seen {
		pages += s.pages
	}
	return pages
}
