package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestListTakesEachFilter(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 3) // task 2 is of integration 11, user 12, client 13, account 14, template 15
	for args, want := range map[string][]int64{
		"":                                  {3, 2, 1},
		"--integration 11":                  {2},
		"--user 12":                         {2},
		"--client 13":                       {2},
		"--account 14":                      {2},
		"--template 15":                     {2},
		"--batch 11,13,15":                  {2},
		"--batch 11,13,16":                  {},
		"--status pending":                  {3, 2, 1},
		"--status failed":                   {},
		"--integration 11 --status pending": {2},
		"--before 3":                        {2, 1},
		"--integration -1":                  {},
	} {
		got := mustJSON(t, exitDone, readOnly(t, b.URL), "list "+args)
		storetest.WantIDs(t, args, taskIDs(got.Tasks), want...)
	}
	if got := mustJSON(t, exitDone, b.URL, "list").Tasks[1].Task; got != storetest.StoredTask(t, b.Pool, 2) {
		t.Errorf("listed %+v", got)
	}
	for args, want := range map[string]string{
		"--user 1 --client 2": "--client cannot be combined",
		"--batch 1,2":         "three ids",
		"--status done":       "--status is one of",
		"--limit 0":           "--limit",
		"--user me":           "--user takes a number",
	} {
		if got := must(t, exitUsage, b.URL, "list "+args); !strings.Contains(got.stderr, want) {
			t.Errorf("list %s says %q", args, got.stderr)
		}
	}
}

// Pages join without a gap, also where one takes several reads of the store.
func TestListPages(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 2500, taskstore.Completed, storetest.LongAgo)
	first := mustJSON(t, exitDone, b.URL, "list --limit 2001")
	if n := len(first.Tasks); n != 2001 || first.Tasks[0].ID != 2500 || first.NextBefore != 500 {
		t.Errorf("%d tasks, the next page is before %d", n, first.NextBefore)
	}
	second := mustJSON(t, exitDone, b.URL, fmt.Sprint("list --limit 2001 --before ", first.NextBefore))
	if n := len(second.Tasks); n != 499 || second.Tasks[0].ID != 499 || second.NextBefore != 0 {
		t.Errorf("%d tasks, the next page is before %d", n, second.NextBefore)
	}
	got := must(t, exitDone, b.URL, "list --limit 2")
	if lines := strings.Count(got.stdout, "\n"); lines != 3 || got.stderr != "there may be more: --before 2499\n" {
		t.Errorf("%q, %q", got.stdout, got.stderr)
	}
}

func TestGetShowsArgumentAndFailure(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.CreateMany(t, 2)
	failed := storetest.Claim(t, b.Store, 1)[0]
	err := b.Store.FailWith(t.Context(), taskstore.Failure{Task: failed, Reason: "timeout\nline 2", RetryIn: 1})
	if err != nil {
		t.Fatal(err)
	}
	got := mustJSON(t, exitFailed, readOnly(t, b.URL), "get 1 7 2 9")
	storetest.WantIDs(t, "found", taskIDs(got.Tasks), 1, 2)
	if got.Error.Message != "no task has id 7, 9" {
		t.Errorf("says %+v", got.Error)
	}
	if f := got.Tasks[0].Failure; f == nil || f.Count != 1 || f.Reason != "timeout\nline 2" || f.RetryAt != f.At+1 {
		t.Errorf("failure %+v", f)
	}
	if got.Tasks[1].Failure != nil || got.Tasks[1].Task != storetest.StoredTask(t, b.Pool, 2) {
		t.Errorf("second: %+v", got.Tasks[1])
	}
	text := must(t, exitDone, b.URL, "get 1").stdout
	for _, want := range []string{
		"status       failed\n", "reason       timeout line 2\n", "argument     {\"n\": 0}\n", "retry at ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	must(t, exitUsage, b.URL, "get")
	must(t, exitUsage, b.URL, "get one")
}
