package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) planCommand() *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Print what up would send, with its locks; changes nothing",
		Long: `Prints as SQL each statement that up would send, and as comments its transaction, its lock and whom that
blocks, how large the table is and who is in the way now. It works before adopt, too.`,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			if err := checkUpTo(to); err != nil {
				return err
			}
			plan, list, err := m.Plan(ctx, to)
			a.report.Migrations = list
			if err == nil {
				a.report.Plan = &plan
			}
			return err
		}),
	}
	toFlag(cmd, &to, migrate.Newest, "last version to plan (default: the newest)")
	return cmd
}

// writePlan writes SQL, with all that is no statement in comments.
func writePlan(w io.Writer, p *migrate.Plan) {
	if len(p.Statements) == 0 {
		fmt.Fprintln(w, "-- nothing to do")
		return
	}
	schema := pgx.Identifier{p.Schema}.Sanitize()
	fmt.Fprintf(w, "-- schema: %s, and nothing else is on the session's search path\n", schema)
	if p.Unadopted {
		fmt.Fprintln(w, "-- tasks is not managed yet: this is what up sends after adopt --yes")
	}
	if len(p.Lacks) > 0 {
		fmt.Fprintf(w, "-- the role lacks: %s\n", strings.Join(p.Lacks, "; "))
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
	fmt.Fprintf(w, "-- one run at a time: the session holds the advisory lock %d throughout\n", p.RunLock)
	for _, who := range p.InTheWay {
		fmt.Fprintf(w, "-- in the way now: %s\n", who)
	}
	file := "-"
	for _, s := range p.Statements {
		if s.File != file {
			file = s.File
			fmt.Fprintf(w, "\n-- %s\n", s.Heading())
			if slices.Contains(p.Recorded, file) {
				fmt.Fprintln(w, "-- all that it builds is there, so it is only recorded")
			}
		}
		writeStatement(w, s)
	}
}

func writeStatement(w io.Writer, s migrate.Statement) {
	if s.Lock != "" {
		fmt.Fprintf(w, "-- lock: %s\n", s.Effect())
	}
	fmt.Fprint(w, strings.TrimSuffix(strings.TrimSpace(s.SQL), ";"), ";")
	for i, arg := range s.Args {
		fmt.Fprintf(w, " -- $%d = %v", i+1, arg)
	}
	fmt.Fprintln(w)
}
