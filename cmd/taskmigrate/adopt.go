package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) adoptCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "adopt",
		Short: "Take over a tasks table that somebody else created",
		Long: `Compares the live table with the documented one and shows each difference:
  block   must be put right by hand first
  repair  taskmigrate up puts it right
  note    does no harm
With --yes, and if nothing blocks, it records the first migration as applied and changes nothing else.`,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			adoption, err := m.Adopt(ctx, yes)
			a.report.Migrations, a.report.Findings = adoption.Migrations, adoption.Findings
			switch {
			case err != nil:
			case adoption.Already:
				a.report.after = "nothing to do: the table is managed already\n"
			case yes:
				a.report.after = "adopted; go on with `taskmigrate up`\n"
			default:
				a.report.after = "the table can be adopted: run `taskmigrate adopt --yes`, then `taskmigrate up`\n"
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "record the first migration as applied, if nothing blocks")
	return cmd
}
