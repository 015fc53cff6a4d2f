package main

import (
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/taskstore"
)

// columns are the flags that select by a column, as taskstore.Filter does.
var columns = []struct {
	flag string
	by   func(int64) taskstore.Filter
}{
	{"integration", taskstore.ByIntegration},
	{"template", taskstore.ByTemplate}, // these two and batch name a queue
	{"user", taskstore.ByUser},
	{"client", taskstore.ByClient},
	{"account", taskstore.ByAccount},
}

// queueColumns is how many of columns can name a queue.
const queueColumns = 2

// filterFlags defines --batch and the flags of the first n columns.
func filterFlags(cmd *cobra.Command, n int) {
	for _, c := range columns[:n] {
		cmd.Flags().Int64(c.flag, 0, "only tasks of this "+c.flag)
	}
	cmd.Flags().Int64Slice("batch", nil, "only tasks of this batch: `integration,client,template`")
	cmd.Flags().Lookup("batch").DefValue = ""
}

// filterOf returns what the flags of filterFlags select, and whether any was given.
func filterOf(flags *pflag.FlagSet) (f taskstore.Filter, given bool, err error) {
	take := func(name string, by taskstore.Filter) {
		if given {
			err = cli.Usage("--%s cannot be combined with another owner: each has an index of its own", name)
		}
		f, given = by, true
	}
	for _, c := range columns {
		if id, _ := flags.GetInt64(c.flag); flags.Changed(c.flag) {
			take(c.flag, c.by(id))
		}
	}
	if ids, _ := flags.GetInt64Slice("batch"); flags.Changed("batch") {
		if len(ids) != 3 {
			return f, true, cli.Usage("--batch takes three ids: integration,client,template")
		}
		take("batch", taskstore.ByBatch(taskstore.Batch{IntegrationID: ids[0], ClientID: ids[1], TemplateID: ids[2]}))
	}
	return f, given, err
}

// statuses are the values of --status.
func statuses() (names []cobra.Completion) {
	for st := taskstore.Pending; st.Valid(); st++ {
		names = append(names, st.String())
	}
	return names
}

// words lists them as a sentence does.
func words(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}

func statusOf(name string) (taskstore.Status, error) {
	for st := taskstore.Pending; st.Valid(); st++ {
		if st.String() == name {
			return st, nil
		}
	}
	return 0, cli.Usage("--status is one of %s", words(statuses()))
}

// idsOf reads arguments, each id once. Its error does not repeat one, which may be a database URL in the wrong place.
func idsOf(args []string) ([]int64, error) {
	ids := make([]int64, len(args))
	for i, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return nil, cli.Usage("argument %d is no id: an id is a number", i+1)
		}
		ids[i] = id
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// checkLimit refuses a limit with which nothing would be done.
func checkLimit(limit int) error {
	if limit < 1 {
		return cli.Usage("--limit is at least 1")
	}
	return nil
}

// maxPage is the most tasks that the store reads at once.
const maxPage = 1000

// pages yields up to limit tasks that f selects with ids below before, newest first, a page at a time.
func pages(
	ctx context.Context, s *taskstore.Store, f taskstore.Filter, before int64, limit int,
) iter.Seq2[[]taskstore.Task, error] {
	return func(yield func([]taskstore.Task, error) bool) {
		for limit > 0 {
			size := min(limit, maxPage)
			page, err := s.List(ctx, f, taskstore.Page{Before: before, Limit: size})
			if err != nil {
				yield(nil, err)
				return
			}
			if len(page) == 0 || !yield(page, nil) || len(page) < size {
				return
			}
			before, limit = page[len(page)-1].ID, limit-len(page)
		}
	}
}
