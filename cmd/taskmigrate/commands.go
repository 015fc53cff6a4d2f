package main

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tasklane/tasks/internal/migrate"
)

const long = `taskmigrate brings the tasks table of a live database to the newest migration.

Every flag has an environment variable, shown in brackets; the flag goes before the variable.

Exit codes:
  0  done
  1  failed
  2  usage
  3  status --check found pending migrations
  4  verify found drift, or adopt refused
  5  gave up waiting for a lock; nothing is half-done, safe to run again
  6  stopped half-way through a migration that cannot be transactional; safe to run again
  7  the database's history conflicts with this binary`

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "taskmigrate [flags] COMMAND",
		Short:         "Migrate the tasks table",
		Long:          long,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(*cobra.Command, []string) error { return usagef("no command given; see `taskmigrate --help`") },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.readEnv(cmd); err != nil {
				return err
			}
			return a.checkFlags()
		},
	}
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SuggestionsMinimumDistance = 2
	a.persistentFlags(root.PersistentFlags())
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]cobra.Completion{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(a.upCommand(), a.downCommand(), a.statusCommand(), a.planCommand(),
		a.adoptCommand(), a.verifyCommand(), a.versionCommand())
	for _, cmd := range append(root.Commands(), root) {
		describeEnv(cmd)
	}
	return root
}

func (a *app) upCommand() *cobra.Command {
	var to int64
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Apply what is pending; safe while other runners and writers are live",
		Args:  cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			last, err := lastVersion(to)
			if err != nil {
				return err
			}
			list, err := m.Up(ctx, last)
			a.report.migrated(list)
			return err
		}),
	}
	toFlag(cmd, &to, newest, "last version to apply (default: the newest)")
	return cmd
}

func (a *app) downCommand() *cobra.Command {
	var opts migrate.DownOptions
	cmd := &cobra.Command{
		Use:   "down --to N",
		Short: "Roll back to version N",
		Args:  cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			if err := a.confirm(ctx, m, &opts); err != nil {
				return err
			}
			list, err := m.Down(ctx, opts)
			a.report.migrated(list)
			return err
		}),
	}
	toFlag(cmd, &opts.To, 0, "version that stays applied; 0 rolls back everything")
	cmd.Flags().StringVar(&opts.Confirm, "confirm", "", "name of the database, instead of being asked for it")
	cmd.Flags().BoolVar(&opts.AllowDataLoss, "allow-data-loss", false, "also run what drops or deletes data")
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// newest is --to of up and plan where nobody gave it.
const newest = -1

// lastVersion is --to as package migrate takes it, where 0 is the newest.
func lastVersion(to int64) (int64, error) {
	switch {
	case to == newest:
		return 0, nil
	case to < 1:
		return 0, usagef("--to takes a version from 1 on; `taskmigrate down --to 0` rolls back everything")
	}
	return to, nil
}

func toFlag(cmd *cobra.Command, to *int64, value int64, usage string) {
	cmd.Flags().Int64Var(to, "to", value, usage)
	cmd.Flags().Lookup("to").DefValue = "0" // which the help leaves out: the usage says it
	_ = cmd.RegisterFlagCompletionFunc("to", completeVersions)
}

// confirm asks whoever sits at a terminal for the name of the database; scripts give it by a flag.
func (a *app) confirm(ctx context.Context, m *migrate.Migrator, opts *migrate.DownOptions) error {
	if opts.Confirm != "" {
		return nil
	}
	if !term.IsTerminal(int(a.stdin.Fd())) || a.output == "json" {
		return usagef("rolling back needs --confirm with the database's name")
	}
	name, err := m.Database(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.stderr, "Roll back database %q to version %d. Type its name to go on: ", name, opts.To)
	typed := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.stdin).ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	select {
	case opts.Confirm = <-typed:
	case <-ctx.Done():
	}
	if opts.Confirm == "" {
		return usagef("not confirmed: nothing was rolled back")
	}
	return nil
}

func (a *app) statusCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List applied, pending and unknown migrations; only reads",
		Args:  cobra.NoArgs,
		RunE: a.action(func(ctx context.Context, m *migrate.Migrator) error {
			list, findings, err := m.Status(ctx)
			if err != nil {
				return err
			}
			a.report.listed(list)
			a.report.found(findings)
			if check && slices.ContainsFunc(list, func(m migrate.Migration) bool { return m.State == migrate.StatePending }) {
				a.report.ExitCode = migrate.ExitPending
			}
			return nil
		}),
	}
	cmd.Flags().BoolVar(&check, "check", false, "exit with 3 if a migration is pending")
	return cmd
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the binary's version and its newest migration",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.report.Command = cmd.Name()
			known, err := migrate.Known()
			if err != nil {
				return err
			}
			newest := known[len(known)-1]
			a.report.text = fmt.Sprintf("taskmigrate %s, newest migration %s\n", binaryVersion(), newest.Name)
			newest.State = migrate.StateUnknown // no database was asked
			a.report.add([]migrate.Migration{newest})
			return nil
		},
	}
}
