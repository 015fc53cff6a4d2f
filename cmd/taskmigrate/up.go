package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) upCommand() *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Apply what is pending; safe while other runners and writers are live",
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			if err := checkUpTo(to); err != nil {
				return err
			}
			list, err := m.Up(ctx, to)
			a.report.migrated(list)
			return err
		}),
	}
	toFlag(cmd, &to, migrate.Newest, "last version to apply (default: the newest)")
	return cmd
}
