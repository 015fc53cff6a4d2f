package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate"
)

// persistentFlags defines the flags that every command has.
func (a *app) persistentFlags(root *cobra.Command) {
	a.opts = migrate.Defaults()
	flags := root.PersistentFlags()
	cli.DatabaseFlag(root, &a.databaseURL)
	flags.StringVar(&a.opts.Schema, "schema", "",
		"schema of the table; else the first of the search path that has it")
	flags.StringVar(&a.opts.HistoryTable, "history-table", migrate.HistoryTable,
		"table of the history, in that schema; plain goose: -table")
	flags.StringVar(&a.output, "output", "text",
		"format of the report: text or json, and of the command report markdown, too")
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

// checkFlags refuses an unknown format, and what cli.CheckFlags refuses: --to has its own check.
func (a *app) checkFlags(cmd *cobra.Command) error {
	switch {
	case a.output == "text", a.output == "json", a.output == "markdown" && cmd.Name() == "report":
	default:
		return cli.Usage("--output is text or json; `taskmigrate report` has markdown, too")
	}
	return cli.CheckFlags(cmd.Flags(), func(name string) bool { return name == "to" })
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
		return cli.Usage("--to takes a version from 1 on; `taskmigrate down --to 0` rolls back everything")
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
