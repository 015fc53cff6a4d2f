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
