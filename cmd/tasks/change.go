package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/taskstore"
)

// change is what came of a command that changes tasks.
type change struct {
	DryRun   bool  `json:"dry_run"`
	Selected int64 `json:"selected"` // at most --limit
	Changed  int64 `json:"changed"`
}

// changeFlags are what all of them have.
type changeFlags struct {
	limit int
	yes   bool
}

func (c *changeFlags) define(cmd *cobra.Command) {
	cmd.Flags().IntVar(&c.limit, "limit", 10_000, "the most tasks to change; run it again for the rest")
	cmd.Flags().BoolVar(&c.yes, "yes", false, "do it, instead of saying what would be done")
}

// shown is how many tasks a dry run shows.
const shown = 10

// dryRun reports what would be done.
func (a *app) dryRun(verb string, selected int64, limit int, first []taskstore.Task) {
	a.report.Change = &change{DryRun: true, Selected: selected}
	a.report.Tasks = asPrinted(first[:min(len(first), shown)])
	a.report.text = fmt.Sprintf("would %s %s", verb, counted(selected))
	if selected == int64(limit) {
		a.report.text += " (--limit: there may be more)"
	}
	if a.report.text += "\n"; selected > 0 {
		a.report.text += tasksTable(a.report.Tasks)
		if more := selected - int64(len(a.report.Tasks)); more > 0 {
			a.report.text += fmt.Sprintf("and %d more\n", more)
		}
		a.report.note = "nothing was changed: --yes does it\n"
	}
}

// changed reports what was done.
func (a *app) changed(done string, c *change) {
	a.report.Change = c
	a.report.text = fmt.Sprintf("%s %s\n", done, counted(c.Changed))
	if left := c.Selected - c.Changed; left > 0 {
		a.report.text = fmt.Sprintf("%s %d of %s: others have changed the rest meanwhile\n",
			done, c.Changed, counted(c.Selected))
	}
}

func counted(n int64) string {
	if n == 1 {
		return "1 task"
	}
	return fmt.Sprintf("%d tasks", n)
}

// move is a command that puts tasks of one status back to pending.
type move struct {
	verb, done, short, long string
	from                    taskstore.Status
	apply                   func(context.Context, *taskstore.Store, []taskstore.Task) (int64, error)
}

var retry = move{
	verb: "retry", done: "retried", from: taskstore.Failed,
	short: "Put failed tasks back to pending",
	long:  "retry puts failed tasks back to pending: those that are named, or those that a filter selects, newest first.",
	apply: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) (int64, error) {
		ids := make([]int64, len(ts))
		for i, t := range ts {
			ids[i] = t.ID
		}
		return s.Retry(ctx, ids...)
	},
}

var release = move{
	verb: "release", done: "released", from: taskstore.Processing,
	short: "Put tasks in processing back to pending",
	long: `release puts tasks in processing back to pending, whether or not their worker is alive: those that are named, or
those that a filter selects, newest first. A worker that is alive has lost its lease then, and what it does for the task
counts no more, but somebody else does it again. For workers that have died see requeue.`,
	apply: func(ctx context.Context, s *taskstore.Store, ts []taskstore.Task) (int64, error) {
		err := s.Release(ctx, ts...)
		if moved, ok := errors.AsType[*taskstore.ConflictError](err); ok {
			return int64(len(ts) - len(moved.IDs)), nil
		}
		if err != nil {
			return 0, err
		}
		return int64(len(ts)), nil
	},
}

func (a *app) moveCommand(m move) *cobra.Command {
	var c changeFlags
	var all bool
	cmd := &cobra.Command{
		Use:   m.verb + " [ID...]",
		Short: m.short,
		Long:  m.long + "\n\nOne task is done at once. More than one are a dry run without --yes.",
		Example: fmt.Sprintf(`  tasks %[1]s 123456
  tasks %[1]s --integration 7          # how many, and which
  tasks %[1]s --integration 7 --yes`, m.verb),
		Args: cobra.ArbitraryArgs,
		RunE: a.action(func(ctx context.Context, s *taskstore.Store, flags *pflag.FlagSet, args []string) error {
			f, filtered, err := filterOf(flags)
			ids, noIDs := idsOf(args)
			switch err := cmp.Or(err, noIDs, checkLimit(c.limit)); {
			case err != nil:
				return err
			case len(ids) > 0 && (filtered || all), filtered && all:
				return cli.Usage("ids, a filter and --all exclude each other")
			case len(ids) > 0:
				return a.moveNamed(ctx, s, m, ids, c.yes)
			case !filtered && !all:
				return cli.Usage("which tasks? Give ids, a filter, or --all")
			}
			return a.moveSelected(ctx, s, m, f.WithStatus(m.from), c)
		}),
	}
	filterFlags(cmd, len(columns))
	c.define(cmd)
	cmd.Flags().BoolVar(&all, "all", false, fmt.Sprintf("every task that is %s", m.from))
	return cmd
}

func (a *app) moveNamed(ctx context.Context, s *taskstore.Store, m move, ids []int64, yes bool) error {
	tasks, missing, err := get(ctx, s, ids)
	if err != nil {
		return err
	}
	var wrong []string
	if missing != nil {
		wrong = append(wrong, missing.Error())
	}
	for _, t := range tasks {
		if t.Status != m.from {
			wrong = append(wrong, fmt.Sprintf("task %d is %s, not %s", t.ID, t.Status, m.from))
		}
	}
	if wrong != nil {
		return errors.New(strings.Join(wrong, ", ") + ": nothing was changed")
	}
	selected := int64(len(tasks))
	if selected > 1 && !yes {
		a.dryRun(m.verb, selected, -1, tasks)
		return nil
	}
	n, err := m.apply(ctx, s, tasks)
	if err != nil {
		return err
	}
	a.changed(m.done, &change{Selected: selected, Changed: n})
	if n < selected {
		return errors.New("a task was changed by somebody else meanwhile, and was left as it is")
	}
	return nil
}

func (a *app) moveSelected(
	ctx context.Context, s *taskstore.Store, m move, f taskstore.Filter, c changeFlags,
) error {
	if !c.yes {
		n, err := s.Count(ctx, f)
		if err != nil {
			return err
		}
		first, err := s.List(ctx, f, taskstore.Page{Limit: min(shown, c.limit)})
		if err != nil {
			return err
		}
		a.dryRun(m.verb, min(n, int64(c.limit)), c.limit, first)
		return nil
	}
	var sum change
	defer func() { a.changed(m.done, &sum) }() // after an error, too
	for page, err := range pages(ctx, s, f, 0, c.limit) {
		if err != nil {
			return err
		}
		n, err := m.apply(ctx, s, page)
		if err != nil {
			return err
		}
		sum.Selected, sum.Changed = sum.Selected+int64(len(page)), sum.Changed+n
	}
	return nil
}

func (a *app) requeueCommand() *cobra.Command {
	var c changeFlags
	var silentFor time.Duration
	cmd := &cobra.Command{
		Use:   "requeue",
		Short: "Put tasks whose worker is silent back to pending",
		Long: `requeue puts tasks in processing back to pending whose worker has been silent for a time. Workers that
call taskwork.Run do so themselves; requeue is for those that do not. --silent-for should be several times the interval
of the workers' heartbeats.`,
		Example: `  tasks requeue --silent-for 10m         # how many, and which
  tasks requeue --silent-for 10m --yes`,
		RunE: a.action(func(ctx context.Context, s *taskstore.Store, flags *pflag.FlagSet, _ []string) error {
			f, _, err := filterOf(flags)
			if err != nil {
				return err
			}
			if !c.yes {
				stale, err := s.Stale(ctx, f, silentFor, c.limit)
				if err == nil {
					a.dryRun("requeue", int64(len(stale)), c.limit, stale)
				}
				return err
			}
			ids, err := s.RequeueStale(ctx, f, silentFor, c.limit)
			if err == nil {
				n := int64(len(ids))
				a.changed("requeued", &change{Selected: n, Changed: n})
			}
			return err
		}),
	}
	filterFlags(cmd, queueColumns)
	c.define(cmd)
	silentFlag(cmd, &silentFor)
	return cmd
}

func silentFlag(cmd *cobra.Command, d *time.Duration) {
	cmd.Flags().DurationVar(d, "silent-for", time.Minute, "a worker without a heartbeat for this long is silent")
}

func (a *app) deleteFinishedCommand() *cobra.Command {
	var c changeFlags
	var before time.Time
	cmd := &cobra.Command{
		Use:   "delete-finished --ended-before TIME",
		Short: "Delete completed and failed tasks that ended before a time",
		Long: `delete-finished deletes completed and failed tasks whose last change is before a time, oldest first, of
all owners, with their keys and failures. It goes through the table from its beginning, 1,000 rows a transaction, the
dry run too, until it has found --limit tasks.`,
		Example: `  tasks delete-finished --ended-before 2026-01-01
  tasks delete-finished --ended-before "$(date -u -d '90 days ago' +%F)" --limit 1000000 --yes`,
		RunE: a.action(func(ctx context.Context, s *taskstore.Store, _ *pflag.FlagSet, _ []string) error {
			if !c.yes {
				n, oldest, err := s.Finished(ctx, before, c.limit)
				if err == nil {
					a.dryRun("delete", n, c.limit, oldest)
				}
				return err
			}
			n, err := s.DeleteFinished(ctx, before, c.limit)
			a.changed("deleted", &change{Selected: n, Changed: n})
			return err
		}),
	}
	c.define(cmd)
	cmd.Flags().TimeVar(&before, "ended-before", time.Time{}, []string{time.DateOnly, time.RFC3339},
		"a date, which begins at 00:00 UTC, or a time such as 2026-01-01T08:00:00+08:00")
	cmd.Flags().Lookup("ended-before").DefValue = ""
	_ = cmd.MarkFlagRequired("ended-before")
	return cmd
}
