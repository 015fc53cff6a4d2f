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
		Long: `Applies the pending migrations, the oldest first, and lists what it applied.

Reads and writes go on: a statement that needs a strong lock waits briefly and tries again, indexes are built
concurrently, and rows are converted in small commits. Each wait names who blocks. If it is stopped, run it again: it
goes on from there. A table that somebody else created is refused until it is adopted.`,
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
