package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
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
func (a *app) run(ctx context.Context) migrate.ExitCode {
	a.progress = &progress{out: a.stderr, terminal: term.IsTerminal(int(a.stderr.Fd()))}
	root := a.rootCommand()
	root.SetArgs(a.args)
	cmd, err := root.ExecuteContextC(ctx)
	a.progress.close()
	if a.report.Command == "" && cmd != root && err != nil {
		a.report.Command = cmd.Name()
	}
	if err != nil {
		a.report.fail(a.usage(root, err))
	}
	if err == nil && a.report.Command == "" {
		return migrate.ExitDone // help and completion have said it all
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

// usage tells a failed command line, which cobra reports, from a failed command.
func (a *app) usage(root *cobra.Command, err error) *migrate.Error {
	if failure, ok := errors.AsType[*migrate.Error](err); ok {
		return failure
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	failure := &migrate.Error{Code: migrate.ExitUsage, Message: message, Hint: "see `taskmigrate --help`", Err: err}
	if hint := suggestion(root, message); hint != "" {
		failure.Hint = hint
	}
	return failure
}

// suggestion is a hint at the command or flag that a mistyped one resembles, or at the command that has the flag.
func suggestion(root *cobra.Command, message string) string {
	if _, rest, ok := strings.Cut(message, "unknown flag: --"); ok {
		flags := &cobra.Command{SuggestionsMinimumDistance: 2}
		for _, name := range flagNames(root) {
			flags.AddCommand(&cobra.Command{Use: name, Run: func(*cobra.Command, []string) {}})
		}
		for _, cmd := range root.Commands() {
			if cmd.LocalNonPersistentFlags().Lookup(rest) != nil {
				return fmt.Sprintf("--%s is a flag of `%s`", rest, cmd.CommandPath())
			}
		}
		if near := flags.SuggestionsFor(rest); len(near) > 0 {
			return "did you mean --" + near[0] + "?"
		}
	}
	if _, rest, ok := strings.Cut(message, `unknown command "`); ok {
		typed, _, _ := strings.Cut(rest, `"`)
		if near := root.SuggestionsFor(typed); len(near) > 0 {
			return "did you mean " + near[0] + "?"
		}
	}
	return ""
}

func flagNames(root *cobra.Command) []string {
	var names []string
	for _, cmd := range append(root.Commands(), root) {
		for _, line := range strings.Fields(cmd.NonInheritedFlags().FlagUsages() + cmd.PersistentFlags().FlagUsages()) {
			if name, ok := strings.CutPrefix(line, "--"); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// migrator opens what the flags say.
func (a *app) migrator() (*migrate.Migrator, error) {
	url := a.databaseURL
	if url == "" {
		url, _ = a.env("DATABASE_URL")
	}
	a.opts.Log = slog.New(slog.NewTextHandler(a.progress, nil))
	a.opts.Progress = a.progress.update
	return migrate.New(url, a.opts)
}

// action is the body of a command that works on a database: what f returns goes into the report.
func (a *app) action(f func(ctx context.Context, m *migrate.Migrator) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		a.report.Command = cmd.Name()
		m, err := a.migrator()
		if err != nil {
			return err
		}
		return f(cmd.Context(), m)
	}
}

func usagef(format string, args ...any) error {
	return &migrate.Error{Code: migrate.ExitUsage, Message: fmt.Sprintf(format, args...)}
}
