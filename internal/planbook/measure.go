package main

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/tasklane/tasks/internal/explain"
)

// measured is one case of a query and the plans it got.
type measured struct {
	example
	Custom, Generic explain.Plan
	Auto            string // what the server chooses after five executions: custom or generic; planned: it has no choice
}

// customRuns is how often the server plans a statement with its values before it considers a generic plan.
const customRuns = 5

var plain = regexp.MustCompile(`^(-?\d+|'[^']*')$`)

// measure plans and runs a query with the arguments of one example.
func (db *database) measure(ctx context.Context, q query, ex example, isPlanned bool) (measured, error) {
	m := measured{example: ex}
	fail := func(err error) (measured, error) {
		return m, fmt.Errorf("%s, %s: %w", q.Name, ex.Name, err)
	}
	args := make([]string, len(q.Params))
	for i, name := range q.Params {
		value, ok := ex.Args[name]
		if !ok {
			return fail(fmt.Errorf("no example value for @%s", name))
		}
		if !plain.MatchString(value) { // EXECUTE takes no subquery
			lines, err := db.text(ctx, "SELECT quote_nullable(("+value+")::text)")
			if err != nil {
				return fail(err)
			}
			value = lines[0]
		}
		args[i] = value
	}
	execute := "EXECUTE planned"
	if len(args) > 0 {
		execute += "(" + strings.Join(args, ", ") + ")"
	}
	if err := db.exec(ctx, "PREPARE planned AS "+q.numbered()); err != nil {
		return fail(err)
	}
	defer func() { _ = db.exec(ctx, "DEALLOCATE planned") }()

	var err error
	if isPlanned {
		m.Auto = "planned"
	} else if m.Auto, err = db.choose(ctx, execute); err != nil {
		return fail(err)
	}
	if m.Custom, err = db.run(ctx, q, "force_custom_plan", execute); err != nil {
		return fail(err)
	}
	if m.Generic, err = db.run(ctx, q, "force_generic_plan", execute); err != nil {
		return fail(err)
	}
	return m, nil
}

// choose lets the server decide between custom and generic plans, as it does for a prepared statement that
// always gets these values. EXPLAIN alone counts as an execution.
func (db *database) choose(ctx context.Context, execute string) (string, error) {
	if err := db.exec(ctx, "SET plan_cache_mode = auto"); err != nil {
		return "", err
	}
	for range customRuns + 1 {
		if err := db.exec(ctx, "EXPLAIN "+execute); err != nil {
			return "", err
		}
	}
	lines, err := db.text(ctx, `SELECT CASE WHEN generic_plans > 0 THEN 'generic' ELSE 'custom' END
		FROM pg_prepared_statements WHERE name = 'planned'`)
	if err != nil {
		return "", err
	}
	return lines[0], nil
}

// run executes the statement twice, rolls back, and measures the second time: the first one also reads the catalog,
// and the dead rows that it leaves are removed before the second.
func (db *database) run(ctx context.Context, q query, mode, execute string) (explain.Plan, error) {
	if err := db.exec(ctx, "SET plan_cache_mode = "+mode, "BEGIN", explain.Command+execute, "ROLLBACK"); err != nil {
		return explain.Plan{}, err
	}
	if q.writes() {
		if err := db.exec(ctx, "VACUUM (INDEX_CLEANUP ON) tasks"); err != nil {
			return explain.Plan{}, err
		}
	}
	if err := db.exec(ctx, "BEGIN"); err != nil {
		return explain.Plan{}, err
	}
	lines, err := db.text(ctx, explain.Command+execute)
	if err != nil {
		return explain.Plan{}, err
	}
	if err := db.exec(ctx, "ROLLBACK"); err != nil {
		return explain.Plan{}, err
	}
	return explain.Read(lines), nil
}
