package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate"
)

func (a *app) downCommand() *cobra.Command {
	var opts migrate.DownOptions
	cmd := &cobra.Command{
		Use:   "down --to N",
		Short: "Roll back to version N",
		Long: `Rolls back each migration above version N, the newest first. Whoever runs it types the name of the database, or
gives it by --confirm. A table that was adopted is never dropped.`,
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

// confirm asks whoever sits at a terminal for the name of the database; scripts give it by a flag.
func (a *app) confirm(ctx context.Context, m *migrate.Migrator, opts *migrate.DownOptions) error {
	if opts.Confirm != "" {
		return nil
	}
	if !term.IsTerminal(int(a.stdin.Fd())) || a.output == "json" {
		return cli.Usage("rolling back needs --confirm with the database's name")
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
		return cli.Usage("not confirmed: nothing was rolled back")
	}
	return nil
}
