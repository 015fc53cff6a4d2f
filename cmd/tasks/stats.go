package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/taskstore"
)

// stats says what there is to do, for whom, and what went wrong.
type stats struct {
	At            taskstore.Millis   `json:"at"` // by this machine's clock
	Pending       int64              `json:"pending"`
	Processing    int64              `json:"processing"`
	Failed        int64              `json:"failed"`
	OldestPending taskstore.Millis   `json:"oldest_pending"` // when it was created; 0: none is pending
	Silent        int64              `json:"silent"`
	SilentForMS   int64              `json:"silent_for_ms"`
	Partial       bool               `json:"partial"` // Silent and the owners leave some tasks out
	Integrations  []taskstore.Share  `json:"integrations"`
	Templates     []taskstore.Share  `json:"templates"`
	Reasons       []taskstore.Reason `json:"reasons"`
}

func (a *app) statsCommand() *cobra.Command {
	var silentFor, interval time.Duration
	var watch bool
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show the backlog by status, integration and template, and why tasks failed; only reads",
		Long: fmt.Sprintf(`stats shows the backlog by status, integration and template, the oldest pending task, tasks in
processing whose worker is silent, and the reasons of failed tasks.

Completed tasks cost nothing. The parts by integration and template count at most %d tasks of each status, the
reasons are those of the newest %d tasks that have failed.

--watch shows it again and again: on a terminal as a screen that q ends, else a line each time.`,
			taskstore.MaxShares, taskstore.MaxReasons),
		Example: "  tasks stats\n  tasks stats --watch\n  tasks stats --output json | jq .stats.failed",
		RunE: a.action(func(ctx context.Context, s *taskstore.Store, _ *pflag.FlagSet, _ []string) error {
			if interval < 100*time.Millisecond {
				return cli.Usage("--interval is at least 100ms")
			}
			look := func(ctx context.Context) (*stats, error) { return readStats(ctx, s, silentFor) }
			first, err := look(ctx)
			switch {
			case err != nil:
				return err
			case watch:
				return a.watch(ctx, interval, first, look)
			}
			a.report.Stats, a.report.text = first, first.text(20)
			return nil
		}),
	}
	silentFlag(cmd, &silentFor)
	cmd.Flags().BoolVar(&watch, "watch", false, "go on until it is interrupted")
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "time between two looks of --watch")
	return cmd
}

func readStats(ctx context.Context, s *taskstore.Store, silentFor time.Duration) (*stats, error) {
	backlog, err := s.Backlog(ctx)
	if err != nil {
		return nil, err
	}
	shares, err := s.BacklogShares(ctx, silentFor)
	if err != nil {
		return nil, err
	}
	reasons, err := s.FailureReasons(ctx)
	if err != nil {
		return nil, err
	}
	return &stats{
		At:      taskstore.MillisOf(time.Now()),
		Pending: backlog.Pending, Processing: backlog.Processing, Failed: backlog.Failed,
		OldestPending: backlog.OldestPending,
		Silent:        shares.All.Silent, SilentForMS: silentFor.Milliseconds(),
		Partial:      max(shares.All.Pending, shares.All.Processing, shares.All.Failed) == taskstore.MaxShares,
		Integrations: shares.Integrations, Templates: shares.Templates, Reasons: reasons,
	}, nil
}

// text shows at most top lines of each table.
func (st *stats) text(top int) string {
	oldest := ""
	if st.OldestPending != 0 {
		oldest = fmt.Sprintf("the oldest since %s, %s ago", at(st.OldestPending), st.since(st.OldestPending))
	}
	silent := fmt.Sprintf("%d silent for %s", st.Silent, time.Duration(st.SilentForMS)*time.Millisecond)
	text := fmt.Sprintf("%s\n\n", at(st.At)) + cli.Table(func(w io.Writer) {
		fmt.Fprintf(w, "pending\t%d\t%s\nprocessing\t%d\t%s\nfailed\t%d\n",
			st.Pending, oldest, st.Processing, silent, st.Failed)
	})
	if st.Partial {
		text += fmt.Sprintf("silent, and below: of the first %d tasks of each status\n", taskstore.MaxShares)
	}
	text += sharesTable("integration", st.Integrations, top) + sharesTable("template", st.Templates, top)
	if len(st.Reasons) == 0 {
		return text
	}
	return text + "\n" + cli.Table(func(w io.Writer) {
		fmt.Fprintln(w, "failed\tlast\treason")
		for _, r := range st.Reasons[:min(len(st.Reasons), top)] {
			fmt.Fprintf(w, "%d\t%s ago\t%s\n", r.Tasks, st.since(r.LastAt), cut(r.FirstLine, 80))
		}
	})
}

func sharesTable(of string, shares []taskstore.Share, top int) string {
	if len(shares) == 0 {
		return ""
	}
	return "\n" + cli.Table(func(w io.Writer) {
		fmt.Fprintf(w, "%s\tpending\tprocessing\tsilent\tfailed\n", of)
		for _, s := range shares[:min(len(shares), top)] {
			fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\n", s.ID, s.Pending, s.Processing, s.Silent, s.Failed)
		}
		if left := len(shares) - top; left > 0 {
			fmt.Fprintf(w, "%d more\n", left)
		}
	})
}

// since is how long ago something was, in whole seconds.
func (st *stats) since(m taskstore.Millis) time.Duration {
	return max(0, st.At.Time().Sub(m.Time()).Truncate(time.Second))
}

// line is what --watch says where there is no terminal.
func (st *stats) line() string {
	line := fmt.Sprintf("%s pending=%d processing=%d silent=%d failed=%d",
		at(st.At), st.Pending, st.Processing, st.Silent, st.Failed)
	if st.OldestPending != 0 {
		line += fmt.Sprintf(" oldest=%s", st.since(st.OldestPending))
	}
	return line + "\n"
}
