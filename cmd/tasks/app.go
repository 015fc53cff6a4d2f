package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/connect"
	"github.com/tasklane/tasks/taskstore"
)

// app is one call of the command.
type app struct {
	args          []string
	env           cli.Env
	stdin, stdout *os.File
	stderr        io.Writer

	databaseURL, output           string
	statementTimeout, lockTimeout time.Duration
	citus                         bool

	report report
}

// run executes the command line, prints what comes of it and returns the exit code.
func (a *app) run(ctx context.Context) exitCode {
	root := a.rootCommand()
	root.SetArgs(a.args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil && a.report.Command == "" {
		return exitDone // help, completion and --watch have said it all
	}
	if a.report.Command == "" && cmd != root {
		a.report.Command = cmd.Name()
	}
	if err != nil {
		failed, ok := errors.AsType[*failure](err)
		if !ok {
			failed = usageFailure(err)
		}
		a.report.fail(failed)
	}
	a.report.write(a.stdout, a.stderr, cli.WantsJSON(root.Name(), a.args, a.env))
	return a.report.ExitCode
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tasks [flags] COMMAND",
		Short: "Look after the tasks table",
		Long: `tasks shows the backlog of the tasks table, lists tasks, and puts them back to pending.

It needs the rights of tasks_service in schema/roles.sql; stats, list, get and each dry run only read, as tasks_read.
What would change more than one task is a dry run until --yes is given. A task whose status others have changed
meanwhile is left as it is.

The flags below have an environment variable, shown in brackets; a flag that is given overrides its variable.

Exit codes:` + cli.ExitHelp(exitMeanings),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          cli.NoCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.ReadEnv(cmd.Root().Name(), cmd.Root().PersistentFlags(), a.env); err != nil {
				return err
			}
			if a.output != "text" && a.output != "json" {
				return cli.Usage("--output is text or json")
			}
			ids := func(name string) bool { return cmd.Flags().Lookup(name).Value.Type() == "int64" }
			return cli.CheckFlags(cmd.Flags(), ids)
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(cli.FlagError)
	root.SuggestionsMinimumDistance = 2
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	a.persistentFlags(root)
	root.AddCommand(a.statsCommand(), a.listCommand(), a.getCommand(), a.moveCommand(retry), a.moveCommand(release),
		a.requeueCommand(), a.deleteFinishedCommand(), a.versionCommand())
	for _, cmd := range append(root.Commands(), root) {
		if cmd.Args == nil {
			cmd.Args = cli.NoArguments
		}
	}
	return root
}

func (a *app) persistentFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	cli.DatabaseFlag(root, &a.databaseURL)
	flags.StringVar(&a.output, "output", "text", "format of what is printed: text or json")
	flags.DurationVar(&a.statementTimeout, "statement-timeout", 30*time.Second,
		"time for each statement; 0: the server's own limit, as PgBouncer needs it")
	flags.DurationVar(&a.lockTimeout, "lock-timeout", 5*time.Second,
		"time for a row that somebody has locked; 0: the server's own limit, as PgBouncer needs it")
	flags.BoolVar(&a.citus, "citus", false, "the table is distributed by schema/citus.sql")
	complete(root, "output", "text", "json")
	cli.DescribeEnv(root.Name(), flags)
}

// complete offers the values of a flag to the shell.
func complete(cmd *cobra.Command, flag string, values ...cobra.Completion) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// body is what a command does with the store, given its flags and arguments.
type body func(ctx context.Context, s *taskstore.Store, flags *pflag.FlagSet, args []string) error

// action is the body of a command that works on the database that the flags name.
func (a *app) action(do body) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		a.report.Command = cmd.Name()
		config, err := a.config()
		if err != nil {
			return asFailure(ctx, err)
		}
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return asFailure(ctx, err)
		}
		defer pool.Close()
		if err := pool.Ping(ctx); err != nil {
			return connectFailure(ctx, config.ConnConfig, err)
		}
		var options []taskstore.Option
		if a.citus {
			options = append(options, taskstore.WithCitus())
		}
		if err := do(ctx, taskstore.New(pool, options...), cmd.Flags(), args); err != nil {
			return asFailure(ctx, err)
		}
		return nil
	}
}

func (a *app) config() (*pgxpool.Config, error) {
	config, err := connect.Parse(cli.DatabaseURL(a.databaseURL, a.env))
	if err != nil {
		return nil, err
	}
	config.MinConns, config.MinIdleConns, config.MaxConns = 0, 0, 1
	settings := config.ConnConfig.RuntimeParams
	settings["application_name"] = "tasks"
	limit := func(name string, d time.Duration) {
		if d > 0 {
			settings[name] = strconv.FormatInt(max(1, d.Milliseconds()), 10)
		}
	}
	limit("statement_timeout", a.statementTimeout)
	limit("lock_timeout", a.lockTimeout)
	connect.CancelOnServer(config.ConnConfig) // which then says that nothing was done
	return config, nil
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the binary's version",
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.report.Command = cmd.Name()
			a.report.text = fmt.Sprintf("tasks %s (%s)\n", cli.Version(), cli.Origin())
			return nil
		},
	}
}
