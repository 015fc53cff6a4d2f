package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tasklane/tasks/internal/migrate"
)

// app is one call of the command.
type app struct {
	args   []string
	env    func(string) (string, bool)
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
		if !ok {
			failure = usageError("%s", err)
		}
		a.report.fail(failure, commandLine(cmd))
	}
	if a.wantedOutput() == "json" {
		a.report.writeJSON(a.stdout)
	} else {
		a.report.writeText(a.stdout, a.stderr)
	}
	return a.report.ExitCode
}

// wantedOutput looks for the output format without the flag parser, whose errors are to be reported in
// that format, too.
func (a *app) wantedOutput() string {
	format, _ := a.env(envName("output"))
	for i, arg := range a.args {
		if value, ok := strings.CutPrefix(arg, "--output="); ok {
			format = value
		} else if arg == "--output" && i+1 < len(a.args) {
			format = a.args[i+1]
		}
	}
	return format
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "taskmigrate [flags] COMMAND",
		Short: "Migrate the tasks table",
		Long: `taskmigrate brings the tasks table of a live database to the newest migration.

Every flag has an environment variable, shown in brackets; a flag that is given overrides its variable.

Exit codes:` + exitHelp(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(*cobra.Command, []string) error {
			return usageError("no command given; see `taskmigrate --help`")
		},
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.readEnv(cmd); err != nil {
				return err
			}
			return a.checkFlags(cmd)
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = 2
	a.persistentFlags(root)
	root.AddCommand(a.upCommand(), a.downCommand(), a.statusCommand(), a.planCommand(),
		a.adoptCommand(), a.verifyCommand(), a.reportCommand(), a.versionCommand())
	for _, cmd := range append(root.Commands(), root) {
		cmd.Args = noArguments
		describeEnv(cmd)
	}
	return root
}

// action is the body of a command that works on the database that the flags name.
func (a *app) action(do func(ctx context.Context, m *migrate.Migrator) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		a.report.Command = cmd.Name()
		url := a.databaseURL
		if url == "" {
			url, _ = a.env("DATABASE_URL")
		}
		a.opts.Log = slog.New(slog.NewTextHandler(a.progress, nil))
		a.opts.Progress = a.progress.update
		m, err := migrate.New(url, a.opts)
		if err != nil {
			return err
		}
		return do(cmd.Context(), m)
	}
}
