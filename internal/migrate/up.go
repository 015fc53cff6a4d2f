package migrate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// Up applies what is pending, up to and including version to (0: everything). Each file commits in
// the transaction mode it asks for, so after an error the files before it are applied. It returns
// every migration as it then stands, after an error too. Safe to call while others do the same.
func (m *Migrator) Up(ctx context.Context, to int64) ([]Migration, error) {
	target, err := m.target(to)
	if err != nil {
		return nil, err
	}
	history, err := m.history(ctx)
	if err != nil {
		return nil, err
	}
	list := states(m.known, history)
	if err := checkHistory(m.known, versions(history)); err != nil {
		return list, err
	}
	if len(pending(m.known, versions(history), target)) == 0 {
		return list, nil
	}
	results, err := (&run{Migrator: m, to: target}).migrate(ctx)
	return m.after(ctx, list, results, err)
}

// target turns --to into the version to stop at.
func (m *Migrator) target(to int64) (int64, error) {
	if to == 0 {
		return math.MaxInt64, nil
	}
	if !slices.ContainsFunc(m.known, func(s source) bool { return s.version == to }) {
		return 0, usagef("no migration has version %d; the newest is %d", to, m.newest())
	}
	return to, nil
}

// history reads what is recorded.
func (m *Migrator) history(ctx context.Context) ([]record, error) {
	conn, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer closeConn(conn)
	history, err := readHistory(ctx, conn)
	if err != nil {
		return nil, asError(ctx, err)
	}
	return history, nil
}

// after reads where things stand once a run has ended, as far as the server still answers, and adds
// to an error what was done, what was not, and how to go on.
func (m *Migrator) after(ctx context.Context, before []Migration, results []*goose.MigrationResult, failed error) ([]Migration, error) {
	list := before
	again := *m
	again.opts.Wait = 0
	readCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if history, err := again.history(readCtx); err == nil {
		list = states(m.known, history)
	}
	for _, r := range results {
		for i := range list {
			if list[i].Version == r.Source.Version {
				list[i].Duration = r.Duration
				list[i].State = map[string]string{"up": StateApplied, "down": StatePending}[r.Direction]
			}
		}
	}
	return list, failed
}

// Outcome says in one line what was applied and what was not.
func Outcome(list []Migration) string {
	var applied, open []string
	for _, m := range list {
		switch {
		case m.State == StatePending:
			open = append(open, fmt.Sprint(m.Version))
		case m.Duration > 0:
			applied = append(applied, fmt.Sprint(m.Version))
		}
	}
	none := func(list []string) string {
		if len(list) == 0 {
			return "none"
		}
		return strings.Join(list, ", ")
	}
	return "applied now: " + none(applied) + "; not applied: " + none(open)
}
