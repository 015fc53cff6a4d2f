package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate"
)

// app is one call of the command.
type app struct {
	args   []string
	env    cli.Env
	stdin  *os.File
	stdout io.Writer
	stderr *os.File

	databaseURL string
	output      string
	opts        migrate.Options

	progress *progress
	report   report
}

// run executes the command line, prints the one report that comes of it and returns the exit code.
func (a *app) run(ctx context.Context) exitCode {
	a.progress = &progress{out: a.stderr, terminal: term.IsTerminal(int(a.stderr.Fd()))}
	root := a.rootCommand()
	root.SetArgs(a.args)
	cmd, err := root.ExecuteContextC(ctx)
	a.progress.close()
	if err == nil && a.report.Command == "" {
		return exitDone // help and completion have said it all
	}
	if a.report.Command == "" && cmd != root {
		a.report.Command = cmd.Name()
	}
	if err != nil {
		failure, ok := errors.AsType[*migrate.Error](err)
		if ok {
			failure.Hint = a.onSameTable(cmd, failure.Hint)
		} else {
			failure = &migrate.Error{Kind: migrate.BadRequest, Message: err.Error()}
			if usage, ok := errors.AsType[*cli.UsageError](err); ok {
				failure.Hint = usage.Hint
			}
		}
		a.report.fail(failure, a.again(cmd))
	}
	a.report.after = a.onSameTable(cmd, a.report.after)
	a.report.Findings = a.causesOnSameTable(cmd, a.report.Findings)
	if cli.WantsJSON(root.Name(), a.args, a.env) {
		a.report.writeJSON(a.stdout)
	} else {
		a.report.writeText(a.stdout, a.stderr)
	}
	return a.report.ExitCode
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "taskmigrate [flags] COMMAND",
		Short: "Migrate the tasks table",
		Long: `taskmigrate brings the tasks table of a live database to the newest migration: status and plan show what that
means, up does it, verify checks it. A table that exists already is taken over first: adopt.

Every flag has an environment variable, shown in brackets; a flag that is given overrides its variable.

Exit codes:` + cli.ExitHelp(exitMeanings),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          cli.NoCommand,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := cli.ReadEnv(cmd.Root().Name(), cmd.Flags(), a.env); err != nil {
				return err
			}
			return a.checkFlags(cmd)
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(cli.FlagError)
	root.SuggestionsMinimumDistance = 2
	a.persistentFlags(root)
	root.AddCommand(a.upCommand(), a.downCommand(), a.statusCommand(), a.planCommand(),
		a.adoptCommand(), a.verifyCommand(), a.reportCommand(), a.versionCommand())
	for _, cmd := range append(root.Commands(), root) {
		cmd.Args = cli.NoArguments
		cli.DescribeEnv(root.Name(), cmd.LocalFlags())
	}
	return root
}

// action is the body of a command that works on the database that the flags name.
func (a *app) action(do func(ctx context.Context, m *migrate.Migrator) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		a.report.Command = cmd.Name()
		a.opts.Log = slog.New(slog.NewTextHandler(a.progress, nil))
		a.opts.Progress = a.progress.update
		m, err := migrate.New(cli.DatabaseURL(a.databaseURL, a.env), a.opts)
		if err != nil {
			return err
		}
		return do(cmd.Context(), m)
	}
}
