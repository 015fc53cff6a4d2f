package main

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/migrate"
)

// persistentFlags defines the flags that every command has.
func (a *app) persistentFlags(root *cobra.Command) {
	a.opts = migrate.Defaults()
	flags := root.PersistentFlags()
	flags.StringVar(&a.databaseURL, "database-url", "",
		"database to work on; else DATABASE_URL, else libpq's PG* variables. ps shows a flag to everybody on the\n"+
			"machine: a password belongs in a variable or in ~/.pgpass")
	flags.StringVar(&a.opts.Schema, "schema", "",
		"schema of the table; else the first of the search path that has it")
	flags.StringVar(&a.opts.HistoryTable, "history-table", migrate.HistoryTable,
		"table of the history, in that schema; plain goose: -table")
	flags.StringVar(&a.output, "output", "text", "format of the report: text or json, and of the command report markdown, too")
	flags.DurationVar(&a.opts.Wait, "wait", a.opts.Wait, "time for the server to accept connections")
	flags.DurationVar(&a.opts.LockTimeout, "lock-timeout", a.opts.LockTimeout,
		"time for a lock that a transaction needs; others queue behind it meanwhile")
	flags.IntVar(&a.opts.LockRetries, "lock-retries", a.opts.LockRetries,
		"how often to try again after --lock-timeout")
	flags.DurationVar(&a.opts.RunLockWait, "run-lock-wait", a.opts.RunLockWait, "time for another runner to finish")
	flags.DurationVar(&a.opts.IndexWait, "index-wait", a.opts.IndexWait,
		"time that others may block an index build or a back-fill")
	flags.DurationVar(&a.opts.BackfillPause, "backfill-pause", 0, "pause after each 8,000 rows of a back-fill")
	flags.Int64Var(&a.opts.BackfillMaxLag, "backfill-max-lag", a.opts.BackfillMaxLag,
		"bytes of WAL that a standby may be behind before a back-fill waits for it; 0: no limit")
	formats := cobra.FixedCompletions([]cobra.Completion{"text", "json", "markdown"}, cobra.ShellCompDirectiveNoFileComp)
	_ = root.RegisterFlagCompletionFunc("output", formats)
}

// checkFlags refuses values that no format and no wait can have.
func (a *app) checkFlags(cmd *cobra.Command) (err error) {
	switch {
	case a.output == "text", a.output == "json", a.output == "markdown" && cmd.Name() == "report":
	default:
		return usageError("--output is text or json; `taskmigrate report` has markdown, too")
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case f.Value.Type() != "string" && f.Name != "to" && strings.HasPrefix(f.Value.String(), "-"):
			err = usageError("--%s cannot be negative", f.Name)
		case f.Value.Type() == "string" && f.Name != "database-url" && strings.Contains(f.Value.String(), "://"):
			err = usageError("--%s is no place for a database URL; that is --database-url", f.Name)
		}
	})
	return err
}

// toFlag defines --to. The help does not show its default: usage says it.
func toFlag(cmd *cobra.Command, to *int64, value int64, usage string) {
	cmd.Flags().Int64Var(to, "to", value, usage)
	cmd.Flags().Lookup("to").DefValue = "0"
	_ = cmd.RegisterFlagCompletionFunc("to", completeVersions)
}

// checkUpTo refuses a --to with which up would do nothing.
func checkUpTo(to int64) error {
	if to < 1 {
		return usageError("--to takes a version from 1 on; `taskmigrate down --to 0` rolls back everything")
	}
	return nil
}

// completeVersions offers this binary's versions for --to.
func completeVersions(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	known, err := migrate.Known()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var list []cobra.Completion
	for _, m := range known {
		list = append(list, cobra.CompletionWithDesc(fmt.Sprint(m.Version), m.Name))
	}
	return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// envName is the environment variable that stands in for a flag.
func envName(flag string) string {
	return "TASKMIGRATE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// describeEnv adds to each flag's help the variable that stands in for it.
func describeEnv(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { f.Usage += " [" + envName(f.Name) + "]" })
}

// readEnv sets the flags that the command line left open from the environment. It names the variable
// and not its value, which may hold a password.
func (a *app) readEnv(cmd *cobra.Command) (err error) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		value, ok := a.env(envName(f.Name))
		if f.Changed || !ok || value == "" || f.Name == "help" || err != nil {
			return
		}
		if cmd.Flags().Set(f.Name, value) != nil {
			err = usageError("%s does not hold a valid --%s (%s)", envName(f.Name), f.Name, f.Value.Type())
		}
	})
	return err
}

// commandLine is how to call the command again after it stopped on its way.
func commandLine(cmd *cobra.Command) string {
	line := cmd.CommandPath()
	for _, name := range []string{"schema", "history-table", "to"} {
		if flag := cmd.Flags().Lookup(name); flag != nil && flag.Changed {
			line += " --" + name + " " + shellWord(flag.Value.String())
		}
	}
	return line
}

var plainWord = regexp.MustCompile(`^[\w./-]+$`)

// shellWord is how a shell takes a value as it is.
func shellWord(value string) string {
	if plainWord.MatchString(value) {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

// noArguments refuses arguments. Like all errors of the command line it never repeats what was given, which
// may be a database URL in the wrong place.
func noArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasParent():
		failure := usageError("`%s` takes no argument", cmd.CommandPath())
		failure.Hint = "a database is named by DATABASE_URL or --database-url"
		return failure
	}
	failure := usageError("no such command")
	failure.Hint = "see `taskmigrate --help`"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		failure.Hint = "did you mean " + near[0] + "?"
	}
	return failure
}

// flagError is what is wrong with the flags that were given to a command.
func flagError(cmd *cobra.Command, err error) error {
	root := cmd.Root()
	failure := usageError("a flag cannot be understood")
	failure.Hint = "see `taskmigrate --help`"
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
