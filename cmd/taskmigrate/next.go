package main

import (
	"regexp"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// again is how to call the command again after it stopped on its way.
func (a *app) again(cmd *cobra.Command) string {
	return cmd.CommandPath() + a.given(cmd, func(flag string) bool { return flag != "output" })
}

var quotedCommand = regexp.MustCompile("`(taskmigrate [^`]*)`")

// onSameTable adds to each command that a text quotes the flags with which it works on the table of cmd.
func (a *app) onSameTable(cmd *cobra.Command, text string) string {
	flags := a.tableFlags(cmd)
	return quotedCommand.ReplaceAllStringFunc(text, func(quoted string) string {
		return quoted[:len(quoted)-1] + flags + "`"
	})
}

// causesOnSameTable returns the findings with those flags in the commands that their causes quote.
func (a *app) causesOnSameTable(cmd *cobra.Command, list []catalog.Finding) []catalog.Finding {
	list = slices.Clone(list)
	for i, f := range list {
		list[i].Cause = a.onSameTable(cmd, f.Cause)
	}
	return list
}

// tableFlags are those of cmd's flags that say which table is meant.
func (a *app) tableFlags(cmd *cobra.Command) string {
	return a.given(cmd, func(flag string) bool {
		return slices.Contains([]string{"database-url", "schema", "history-table"}, flag)
	})
}

// mayHoldPassword tells of a connection string that is better not repeated.
var mayHoldPassword = regexp.MustCompile(`(?i)pass|://[^@]*:[^@]*@`)

// given writes those flags of cmd that have a value from the command line or from a variable. The database of a
// variable is left out: it stays there.
func (a *app) given(cmd *cobra.Command, wanted func(flag string) bool) (words string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		value := f.Value.String()
		if f.Name == "database-url" {
			if variable, _ := a.env(cli.EnvName(cmd.Root().Name(), f.Name)); value == variable {
				return
			}
		}
		switch {
		case !wanted(f.Name):
		case f.Value.Type() == "bool":
			words += " --" + f.Name
		case f.Name == "database-url" && mayHoldPassword.MatchString(value):
			words += " --" + f.Name + " …"
		default:
			words += " --" + f.Name + " " + cli.ShellWord(value)
		}
	})
	return words
}
