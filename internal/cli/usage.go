package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// UsageError is a mistake in the command line.
type UsageError struct{ Message, Hint string }

func (e *UsageError) Error() string { return e.Message }

// Usage returns a UsageError.
func Usage(format string, args ...any) *UsageError {
	return &UsageError{Message: fmt.Sprintf(format, args...)}
}

// NoCommand is what a command that only has subcommands does.
func NoCommand(cmd *cobra.Command, _ []string) error {
	return Usage("no command given; see `%s --help`", cmd.Name())
}

// NoArguments refuses arguments.
func NoArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		failure := Usage("`%s` takes no argument", cmd.CommandPath())
		failure.Hint = "a database is named by DATABASE_URL or --database-url"
		return failure
	}
	failure := Usage("no such command")
	failure.Hint = fmt.Sprintf("see `%s --help`", cmd.Name())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		failure.Hint = "did you mean " + near[0] + "?"
	}
	return failure
}

// FlagError is what is wrong with the flags that were given to a command.
func FlagError(cmd *cobra.Command, err error) error {
	root := cmd.Root()
	failure := Usage("a flag cannot be understood")
	failure.Hint = fmt.Sprintf("see `%s --help`", cmd.CommandPath())
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		failure.Message = fmt.Sprintf("--%s takes %s", bad.GetFlag().Name, kind(bad.GetFlag()))
	}
	if bare, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		failure.Message = fmt.Sprintf("--%s needs a value", bare.GetFlag().Name)
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || !plainWord.MatchString(unknown.GetSpecifiedName()) {
		return failure
	}
	name := unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		failure.Message = "unknown flag: -" + name
		return failure
	}
	failure.Message = "unknown flag: --" + name
	if other, _, err := root.Find([]string{name}); err == nil && other != root {
		failure.Hint = fmt.Sprintf("`%s` is a command", other.CommandPath())
		return failure
	}
	for _, other := range root.Commands() {
		if other.LocalNonPersistentFlags().Lookup(name) != nil {
			failure.Hint = fmt.Sprintf("--%s is a flag of `%s`", name, other.CommandPath())
			return failure
		}
	}
	if near := flagNames(cmd).SuggestionsFor(name); len(near) > 0 {
		failure.Hint = "did you mean --" + near[0] + "?"
	}
	return failure
}

// kind says what a flag's value is.
func kind(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int", "int64":
		return "a number"
	case "duration":
		return "a duration such as 500ms, 30s or 10m"
	case "bool":
		return "true or false"
	case "int64Slice":
		return "numbers with commas between them"
	case "time":
		return "a date such as 2026-01-01, or a time such as 2026-01-01T08:00:00+08:00"
	}
	return "a value of type " + f.Value.Type()
}

// flagNames holds the names of a command's flags as commands, since that is what cobra makes suggestions from.
func flagNames(cmd *cobra.Command) *cobra.Command {
	list := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) { // those of the root, too
		list.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	return list
}
