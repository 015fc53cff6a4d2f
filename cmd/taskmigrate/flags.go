package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/migrate"
)

// envName is the environment variable that stands in for a flag.
func envName(flag string) string {
	return "TASKMIGRATE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// persistentFlags defines the flags that every command has.
func (a *app) persistentFlags(flags *pflag.FlagSet) {
	a.opts = migrate.Defaults()
	flags.StringVar(&a.databaseURL, "database-url", "", "database to work on; else DATABASE_URL, else libpq's PG* variables")
	flags.StringVar(&a.output, "output", "text", "format of the report: text or json")
	flags.DurationVar(&a.opts.Wait, "wait", a.opts.Wait, "time for the server to accept connections")
	flags.DurationVar(&a.opts.LockTimeout, "lock-timeout", a.opts.LockTimeout, "time for a lock that a transaction needs; others queue behind it meanwhile")
	flags.IntVar(&a.opts.LockRetries, "lock-retries", a.opts.LockRetries, "how often to try again after --lock-timeout")
	flags.DurationVar(&a.opts.RunLockWait, "run-lock-wait", a.opts.RunLockWait, "time for another runner to finish")
	flags.DurationVar(&a.opts.IndexWait, "index-wait", a.opts.IndexWait, "time that others may block an index build or a back-fill")
}

// describeEnv adds to each flag's help the variable that stands in for it.
func describeEnv(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage += " [" + envName(f.Name) + "]" })
	cmd.PersistentFlags().VisitAll(func(f *pflag.Flag) { f.Usage += " [" + envName(f.Name) + "]" })
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
			err = usagef("%s does not hold a valid --%s (%s)", envName(f.Name), f.Name, f.Value.Type())
		}
	})
	return err
}

// checkFlags refuses values that no wait can have.
func (a *app) checkFlags() error {
	if a.output != "text" && a.output != "json" {
		return usagef("--output is text or json, not %q", a.output)
	}
	for _, d := range []struct {
		flag     string
		negative bool
	}{
		{"wait", a.opts.Wait < 0},
		{"lock-timeout", a.opts.LockTimeout < 0},
		{"lock-retries", a.opts.LockRetries < 0},
		{"run-lock-wait", a.opts.RunLockWait < 0},
		{"index-wait", a.opts.IndexWait < 0},
	} {
		if d.negative {
			return usagef("--%s cannot be negative", d.flag)
		}
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
