package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) statusCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List applied, pending and unknown migrations; only reads",
		Long: `Lists the migrations of this binary and those that are recorded in the database. A version that this binary
does not know is unknown: a newer binary has applied it.`,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) (err error) {
			look := m.Status
			if check {
				look = m.Check
			}
			a.report.Migrations, a.report.Findings, err = look(ctx)
			a.report.before = statusText(a.report.Migrations)
			if err == nil && check && slices.ContainsFunc(a.report.Migrations, isPending) {
				a.report.ExitCode = exitPending
			}
			return err
		}),
	}
	cmd.Flags().BoolVar(&check, "check", false,
		"exit with 3 if a migration is pending, with 7 if one is unknown or out of order")
	return cmd
}

func isPending(m migrate.Migration) bool { return m.State == migrate.StatePending }

// statusText tells where each migration stands.
func statusText(list []migrate.Migration) string {
	return cli.Table(func(w io.Writer) {
		for _, m := range list {
			at := ""
			if m.AppliedAt != nil {
				at = m.AppliedAt.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", m.Version, m.State, at, m.Name)
		}
	})
}
