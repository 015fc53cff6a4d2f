package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// A dry run says what would be done, in a session that cannot write. --yes does just that.
func TestChangesAreDryRunsUntilYes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args    string
		matches taskstore.Status // of integration 1, long ago
		to      string           // what the rows have then; empty: they are gone
	}{
		{"retry --integration 1", taskstore.Failed, "pending"},
		{"retry --all", taskstore.Failed, "pending"},
		{"retry 101 103 102 103", taskstore.Failed, "pending"},
		{"release --batch 1,1,1", taskstore.Processing, "pending"},
		{"release 101 102 103", taskstore.Processing, "pending"},
		{"requeue --silent-for 1h", taskstore.Processing, "pending"},
		{"requeue --silent-for 1h --template 1", taskstore.Processing, "pending"},
		{"delete-finished --ended-before 2021-01-01", taskstore.Failed, ""},
		{"delete-finished --ended-before 2021-01-01T08:00:00+08:00", taskstore.Completed, ""},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			b := storetest.Setup(t)
			b.Exec(t, `ALTER SEQUENCE tasks_id_seq RESTART 100`)
			b.Row(t, taskstore.Pending, 1, 1)
			for range 3 {
				b.Exec(t, `
					INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status,
						created_at, updated_at)
					VALUES (1, 1, 1, 1, 1, '', $1, $2, $2)`, int32(test.matches), storetest.LongAgo.UnixMilli())
			}
			before := storetest.Stored(t, b.Pool)

			dry := mustJSON(t, exitDone, readOnly(t, b.URL), test.args)
			if *dry.Change != (change{DryRun: true, Selected: 3}) {
				t.Errorf("a dry run: %+v", dry.Change)
			}
			shown := taskIDs(dry.Tasks)
			slices.Sort(shown)
			storetest.WantIDs(t, "shown", shown, 101, 102, 103)
			text := must(t, exitDone, readOnly(t, b.URL), test.args)
			if !strings.HasPrefix(text.stdout, "would ") || !strings.Contains(text.stdout, " 3 tasks\n") ||
				text.stderr != "nothing was changed: --yes does it\n" {
				t.Errorf("a dry run says %q, %q", text.stdout, text.stderr)
			}
			if !slices.Equal(storetest.Stored(t, b.Pool), before) {
				t.Error("a dry run has changed something")
			}

			done := mustJSON(t, exitDone, b.URL, test.args+" --yes")
			if *done.Change != (change{Selected: 3, Changed: 3}) {
				t.Errorf("it reports %+v", done.Change)
			}
			after := storetest.Stored(t, b.Pool)
			if after[0] != before[0] {
				t.Errorf("another task has become %+v", after[0])
			}
			for _, task := range after[1:] {
				if task.Status.String() != test.to {
					t.Errorf("task %d is %s", task.ID, task.Status)
				}
			}
			if test.to == "" && len(after) != 1 {
				t.Errorf("left: %+v", after)
			}
		})
	}
}

func TestOneTaskIsChangedAtOnce(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for args, from := range map[string]taskstore.Status{"retry": taskstore.Failed, "release": taskstore.Processing} {
		id := b.In(t, from).ID
		line := fmt.Sprint(args, " ", id)
		if got := must(t, exitDone, b.URL, line); !strings.HasSuffix(got.stdout, "ed 1 task\n") {
			t.Errorf("%s says %q", line, got.stdout)
		}
		if row := storetest.StoredTask(t, b.Pool, id); row.Status != taskstore.Pending {
			t.Errorf("%s: %+v", line, row)
		}
		want := fmt.Sprintf("tasks: task %d is pending, not %s: nothing was changed\n", id, from)
		if got := must(t, exitFailed, b.URL, line); got.stderr != want {
			t.Errorf("once more: %q, want %q", got.stderr, want)
		}
	}
	failed := b.In(t, taskstore.Failed)
	got := must(t, exitFailed, b.URL, fmt.Sprintf("retry %d 999 --yes", failed.ID))
	if got.stderr != "tasks: no task has id 999: nothing was changed\n" ||
		storetest.StoredTask(t, b.Pool, failed.ID) != failed {
		t.Errorf("says %q", got.stderr)
	}
}

// More tasks than one page has are changed, at most --limit, the newest of the list first.
func TestChangesGoThroughAllPages(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 2500, taskstore.Failed, storetest.LongAgo)
	dry := mustJSON(t, exitDone, b.URL, "retry --all --limit 2100")
	if dry.Change.Selected != 2100 || len(dry.Tasks) != shown {
		t.Errorf("a dry run: %+v with %d tasks", dry.Change, len(dry.Tasks))
	}
	if got := must(t, exitDone, b.URL, "retry --all --limit 2100 --yes").stdout; got != "retried 2100 tasks\n" {
		t.Errorf("says %q", got)
	}
	left, err := b.Store.Count(t.Context(), taskstore.ByStatus(taskstore.Failed))
	if err != nil || left != 400 || storetest.StoredTask(t, b.Pool, 400).Status != taskstore.Failed {
		t.Errorf("%d are left, %v", left, err)
	}
	if got := must(t, exitDone, b.URL, "retry --all").stdout; !strings.HasPrefix(got, "would retry 400 tasks\n") {
		t.Errorf("says %q", got)
	}
}

func TestWhichTasksHasToBeSaid(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	for args, want := range map[string]string{
		"retry --yes":             "which tasks?",
		"release":                 "which tasks?",
		"retry 1 --user 2":        "exclude each other",
		"retry --all --user 2":    "exclude each other",
		"retry first":             "no id",
		"retry --all --limit 0":   "--limit",
		"requeue --user 2":        "unknown flag: --user",
		"requeue 7":               "takes no argument",
		"requeue --limit 10001":   "limit 10001 is not between",
		"requeue --silent-for 0s": "silentFor",
		"delete-finished":         "ended-before",
		"delete-finished --ended-before yesterday --yes": "--ended-before",
	} {
		if got := must(t, exitUsage, b.URL, args); !strings.Contains(got.stderr, want) {
			t.Errorf("%s says %q", args, got.stderr)
		}
	}
}

// A row that somebody has locked is waited for, and not for ever. What was done before stays done.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	b.History(t, 1500, taskstore.Failed, storetest.LongAgo)
	tx := b.Begin(t, pgx.ReadCommitted)
	if _, err := tx.Exec(t.Context(), `SELECT FROM tasks WHERE id = 1 FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	got := mustJSON(t, exitLockWait, b.URL, "retry --all --yes --lock-timeout 10ms")
	if got.Error.SQLState != "55P03" || !strings.Contains(got.Error.Hint, "--lock-timeout") {
		t.Errorf("says %+v", got.Error)
	}
	if *got.Change != (change{Selected: 1000, Changed: 1000}) {
		t.Errorf("reports %+v", got.Change)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := mustJSON(t, exitDone, b.URL, "retry --all --yes"); again.Change.Changed != 500 {
		t.Errorf("run again, it reports %+v", again.Change)
	}
}

// A worker that is alive renews its lease between the read and the release: then the task stays its own.
func TestReleaseLeavesWhatHasChanged(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	kept, moved := b.In(t, taskstore.Processing), b.In(t, taskstore.Processing)
	tasks := []taskstore.Task{kept, moved}
	if err := b.Store.Heartbeat(t.Context(), []taskstore.Task{moved}); err != nil {
		t.Fatal(err)
	}
	if n, err := release.apply(t.Context(), b.Store, tasks); n != 1 || err != nil {
		t.Errorf("released %d, %v", n, err)
	}
	if row := storetest.StoredTask(t, b.Pool, moved.ID); row.Status != taskstore.Processing {
		t.Errorf("the other one: %+v", row)
	}
}

func TestStatementTimeout(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	tx := b.Begin(t, pgx.ReadCommitted)
	if _, err := tx.Exec(t.Context(), `LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	got := mustJSON(t, exitFailed, b.URL, "stats --statement-timeout 10ms --lock-timeout "+time.Hour.String())
	if got.Error.SQLState != "57014" || !strings.Contains(got.Error.Hint, "--statement-timeout") {
		t.Errorf("says %+v", got.Error)
	}
}
