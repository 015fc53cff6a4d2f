package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List applied, pending and unknown migrations; only reads",
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) (err error) {
			a.report.Migrations, a.report.Findings, err = m.Status(ctx)
			if err != nil {
				return err
			}
			a.report.before = statusText(a.report.Migrations)
			if check && slices.ContainsFunc(a.report.Migrations, isPending) {
				a.report.ExitCode = exitPending
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&check, "check", false, "exit with 3 if a migration is pending")
	return cmd
}

func isPending(m migrate.Migration) bool { return m.State == migrate.StatePending }

// statusText tells where each migration stands.
func statusText(list []migrate.Migration) string {
	return table(func(w io.Writer) {
		for _, m := range list {
			at := ""
			if m.AppliedAt != nil {
				at = m.AppliedAt.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", m.Version, m.State, at, m.Name)
		}
	})
}
