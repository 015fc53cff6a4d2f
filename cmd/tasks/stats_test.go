package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

func TestStats(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	none := mustJSON(t, exitDone, b.URL, "stats").Stats
	if none.Pending != 0 || none.OldestPending != 0 || none.Integrations == nil || none.Reasons == nil {
		t.Errorf("of an empty table: %+v", none)
	}

	b.CreateMany(t, 4) // integrations 1, 11, 21, 31, templates 5, 15, 25, 35
	ts := storetest.Claim(t, b.Store, 2)
	if err := b.Store.FailWith(t.Context(), taskstore.Failure{Task: ts[0], Reason: "\x1b[2Jtimeout\nsecret"}); err != nil {
		t.Fatal(err)
	}
	silent := b.Now(t) - 2*3_600_000
	b.Row(t, taskstore.Processing, silent, silent) // integration 11
	oldest := storetest.StoredTask(t, b.Pool, 3)
	got := mustJSON(t, exitDone, readOnly(t, b.URL), "stats --silent-for 1h").Stats
	want := stats{
		At: got.At, Pending: 2, Processing: 2, Failed: 1, OldestPending: oldest.CreatedAt, Silent: 1, SilentForMS: 3_600_000,
		Integrations: []taskstore.Share{
			{ID: 11, Processing: 2, Silent: 1}, {ID: 1, Failed: 1}, {ID: 21, Pending: 1}, {ID: 31, Pending: 1},
		},
		Templates: []taskstore.Share{
			{ID: 15, Processing: 2, Silent: 1}, {ID: 5, Failed: 1}, {ID: 25, Pending: 1}, {ID: 35, Pending: 1},
		},
		Reasons: []taskstore.Reason{{FirstLine: "\x1b[2Jtimeout", Tasks: 1, LastAt: got.Reasons[0].LastAt}},
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	text := must(t, exitDone, b.URL, "stats").stdout
	for _, line := range []string{
		"processing  2  1 silent for 1m0s\n", "failed      1\n", "11           0        2           1       0\n",
		"\ufffd[2Jtimeout\n",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in\n%s", line, text)
		}
	}
	if strings.ContainsAny(text, "\x1b") {
		t.Errorf("a reason commands the terminal: %q", text)
	}
}

// What has more lines than are shown says so.
func TestStatsTextIsShort(t *testing.T) {
	t.Parallel()
	st := stats{Partial: true, Integrations: []taskstore.Share{{ID: 1}, {ID: 2}, {ID: 3}}}
	text := st.text(2)
	for _, want := range []string{"of the first 100000 tasks of each status", "\n1 more"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
