package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/migrate"
)

// binaryVersion is what the go command wrote into the binary: the tag of the commit that was built, a
// pseudo-version with the commit's time and hash where it has no tag, or "(devel)" where the go command
// did not look at the repository.
func binaryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// binaryOrigin says which commit was built, of when, by which Go, as far as the binary knows: `go install` of a
// version leaves the commit out, since the version tells it.
func binaryOrigin() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	facts := []string{info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			facts = append(facts, "commit "+s.Value)
		case "vcs.time":
			facts = append(facts, s.Value)
		case "vcs.modified":
			if s.Value == "true" {
				facts = append(facts, "changed since")
			}
		}
	}
	return strings.Join(facts, ", ")
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
			a.report.before = fmt.Sprintf("taskmigrate %s (%s)\nnewest migration %s\n",
				binaryVersion(), binaryOrigin(), newest.Name)
			return nil
		},
	}
}
