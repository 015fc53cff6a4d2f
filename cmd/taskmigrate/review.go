package main

import (
	"bytes"
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/page"
)

func (a *app) reportCommand() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Show on one page all that a reviewer needs; only reads",
		Long: `Shows the table and the server, the findings of adopt or verify, who is in the way now, what a pending
back-fill will write, each statement of plan with its lock and whom that blocks, and how to go on. Findings do not
change the exit code.
With --html it writes one file that needs no network.`,
	}
	cmd.RunE = a.action(func(ctx context.Context, m *migrate.Migrator) error {
		review, err := m.Review(ctx)
		if err != nil {
			return err
		}
		for i, step := range review.NextSteps {
			if step.Command != "" {
				review.NextSteps[i].Command += a.tableFlags(cmd)
			}
		}
		a.report.Review, a.report.Plan = &review, &review.Plan
		a.report.Migrations, a.report.Findings = review.Migrations, review.Findings
		review.Findings = a.causesOnSameTable(cmd, review.Findings) // on the page
		write := page.Text
		switch {
		case file != "":
			write = page.HTML
		case a.output == "markdown":
			write = page.Markdown
		}
		var text bytes.Buffer
		if err := write(&text, review); err != nil {
			return err
		}
		if file == "" {
			a.report.before = text.String()
			return nil
		}
		if err := writeFile(file, text.Bytes()); err != nil {
			return err
		}
		a.report.before = "written: " + file + "\n"
		return nil
	})
	cmd.Flags().StringVar(&file, "html", "", "write the report to this file, as one HTML page")
	return cmd
}

// writeFile writes a file that everybody may read, for it holds no secret.
func writeFile(name string, text []byte) error {
	if err := os.WriteFile(name, text, 0o644); err != nil {
		return &migrate.Error{Message: err.Error(), Hint: "--html takes the name of a file that can be written"}
	}
	return nil
}
