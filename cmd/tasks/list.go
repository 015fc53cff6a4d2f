package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/taskstore"
)

func (a *app) listCommand() *cobra.Command {
	var status string
	var before int64
	var limit int
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List tasks, newest first; only reads",
		Example: `  tasks list --status failed --limit 20
  tasks list --integration 7 --status pending
  tasks list --batch 7,70,3 --before 123456   # the page after task 123456`,
		RunE: a.action(func(ctx context.Context, s *taskstore.Store, flags *pflag.FlagSet, _ []string) error {
			f, _, err := filterOf(flags)
			if err == nil && status != "" {
				var st taskstore.Status
				st, err = statusOf(status)
				f = f.WithStatus(st)
			}
			if err = cmp.Or(err, checkLimit(limit)); err != nil {
				return err
			}
			a.report.Tasks = []task{} // in JSON, too, if there are none
			for page, err := range pages(ctx, s, f, before, limit) {
				if err != nil {
					return err
				}
				a.report.Tasks = append(a.report.Tasks, asPrinted(page)...)
			}
			if n := len(a.report.Tasks); n == limit {
				a.report.NextBefore = a.report.Tasks[n-1].ID
				a.report.note = fmt.Sprintf("there may be more: --before %d\n", a.report.NextBefore)
			}
			a.report.text = tasksTable(a.report.Tasks)
			return nil
		}),
	}
	filterFlags(cmd, len(columns))
	cmd.Flags().StringVar(&status, "status", "", "only tasks in this status: "+words(statuses()))
	complete(cmd, "status", statuses()...)
	cmd.Flags().Int64Var(&before, "before", 0, "only ids below this one: the last id of the page before")
	cmd.Flags().IntVar(&limit, "limit", 100, "the most tasks to list")
	return cmd
}

func (a *app) getCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "get ID...",
		Short:   "Show tasks with their arguments and failures; only reads",
		Example: "  tasks get 123456\n  tasks get 123456 123457 --output json",
		Args:    cobra.ArbitraryArgs,
		RunE: a.action(func(ctx context.Context, s *taskstore.Store, _ *pflag.FlagSet, args []string) error {
			ids, err := idsOf(args)
			if err != nil {
				return err
			}
			if len(ids) == 0 {
				return cli.Usage("which task? `tasks get` takes ids")
			}
			found, missing, err := get(ctx, s, ids)
			if err != nil {
				return err
			}
			failures, err := s.Failures(ctx, ids...)
			if err != nil {
				return err
			}
			var texts []string
			for _, t := range asPrinted(found) {
				if f, ok := failures[t.ID]; ok {
					t.Failure = (*lastFailure)(&f)
				}
				a.report.Tasks = append(a.report.Tasks, t)
				texts = append(texts, taskText(t))
			}
			a.report.text = strings.Join(texts, "\n")
			return missing
		}),
	}
}

// get reads tasks. missing, if it is not nil, names those that are not there.
func get(ctx context.Context, s *taskstore.Store, ids []int64) (found []taskstore.Task, missing, err error) {
	var none []string
	for _, id := range ids {
		t, err := s.Get(ctx, id)
		switch {
		case err == nil:
			found = append(found, t)
		case errors.Is(err, taskstore.ErrNotFound):
			none = append(none, fmt.Sprint(id))
		default:
			return nil, nil, err
		}
	}
	if len(none) > 0 {
		missing = errors.New("no task has id " + strings.Join(none, ", "))
	}
	return found, missing, nil
}
