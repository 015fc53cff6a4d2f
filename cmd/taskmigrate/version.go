package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the binary's version and its newest migration",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.report.Command = cmd.Name()
			known, err := migrate.Known()
			if err != nil {
				return err
			}
			newest := known[len(known)-1]
			newest.State = migrate.StateUnknown // no database was asked
			a.report.Migrations = []migrate.Migration{newest}
			a.report.before = fmt.Sprintf("taskmigrate %s (%s)\nnewest migration %s\n",
				cli.Version(), cli.Origin(), newest.Name)
			return nil
		},
	}
}
