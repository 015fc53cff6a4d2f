package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) planCommand() *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Print what up would send, with its locks; changes nothing",
		Args:  cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			last, err := lastVersion(to)
			if err != nil {
				return err
			}
			p, list, err := m.Plan(ctx, last)
			a.report.add(list)
			if err == nil {
				a.report.Plan = newPlan(p)
			}
			return err
		}),
	}
	toFlag(cmd, &to, newest, "last version to plan (default: the newest)")
	return cmd
}

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
		Args: cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			adoption, err := m.Adopt(ctx, yes)
			a.report.add(adoption.Migrations)
			a.report.found(adoption.Findings)
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

func (a *app) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Compare the live table with what its version should look like; only reads",
		Args:  cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			list, findings, err := m.Verify(ctx)
			a.report.add(list)
			a.report.found(findings)
			if n := len(list) - countState(list, migrate.StatePending); err == nil && n > 0 {
				a.report.after = fmt.Sprintf("as it should be with %d of %d migrations applied\n", n, len(list))
			}
			return err
		}),
	}
}

func countState(list []migrate.Migration, state string) (n int) {
	for _, m := range list {
		if m.State == state {
			n++
		}
	}
	return n
}
