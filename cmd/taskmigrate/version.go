package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

// binaryVersion is what the go command wrote into the binary: the tag of the commit that was built, a
// pseudo-version with the commit's time and hash where it has no tag, or "(devel)" where the go command
// did not look at the repository. `go version -m taskmigrate` shows the full commit.
func binaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

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
			a.report.before = fmt.Sprintf("taskmigrate %s, newest migration %s\n", binaryVersion(), newest.Name)
			return nil
		},
	}
}
