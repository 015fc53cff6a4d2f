package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Compare the live table with what its version should look like; only reads",
		Long: `Compares columns, constraints, indexes, triggers, functions and sequences with what the newest applied
migration leaves behind, and shows each difference:
  block   must be put right by hand
  repair  taskmigrate up puts it right
  note    does no harm
The exit code is 4 if there is more than notes.`,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) (err error) {
			a.report.Migrations, a.report.Findings, err = m.Verify(ctx)
			applied := 0
			for _, m := range a.report.Migrations {
				if !isPending(m) {
					applied++
				}
			}
			if err == nil && applied > 0 {
				a.report.after = fmt.Sprintf("as it should be with %d of %d migrations applied\n",
					applied, len(a.report.Migrations))
			}
			return err
		}),
	}
}
