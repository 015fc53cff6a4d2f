package cli

import (
	"errors"
	"fmt"
	"slices"

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
	failure.Hint = fmt.Sprintf("see `%s --help`", root.Name())
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		failure.Message = fmt.Sprintf("--%s takes a value of type %s", bad.GetFlag().Name, bad.GetFlag().Value.Type())
	}
	if bare, ok := errors.AsType[*pflag.ValueRequiredError](err); ok {
		failure.Message = fmt.Sprintf("--%s needs a value", bare.GetFlag().Name)
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || !plainWord.MatchString(unknown.GetSpecifiedName()) {
		return failure
	}
	name := unknown.GetSpecifiedName()
	failure.Message = "unknown flag: --" + name
	for _, other := range root.Commands() {
		if other.LocalNonPersistentFlags().Lookup(name) != nil {
			failure.Hint = fmt.Sprintf("--%s is a flag of `%s`", name, other.CommandPath())
			return failure
		}
	}
	if near := flagNames(root).SuggestionsFor(name); len(near) > 0 {
		failure.Hint = "did you mean --" + near[0] + "?"
	}
	return failure
}

// flagNames holds the names of all flags as commands, since that is what cobra makes suggestions from.
func flagNames(root *cobra.Command) *cobra.Command {
	var names []string
	for _, cmd := range append(root.Commands(), root) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	}
	slices.Sort(names)
	list := &cobra.Command{SuggestionsMinimumDistance: 2}
	for _, name := range slices.Compact(names) {
		list.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
	}
	return list
}
