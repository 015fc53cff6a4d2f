package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestDownRefusesUnlessMeant(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	name := dbtest.Name(t, url)
	must(t, exitDone, url, "up")
	before := dbtest.Contents(t, url)
	for _, args := range [][]string{
		{"down"},
		{"down", "--to", "0"},
		{"down", "--to", "0", "--confirm", "another"},
		{"down", "--to", "0", "--confirm", name},
		{"down", "--to", "99", "--confirm", name},
	} {
		if got := run(t, url, args...); got.code != exitUsage {
			t.Errorf("%v: exit %d, want %d: %s", args, got.code, exitUsage, got.stderr)
		}
	}
	if dbtest.Contents(t, url) != before {
		t.Error("a refused call changed something")
	}
}

// No data goes with an index or a setting.
func TestDownWithoutDataLossNeedsNoLeave(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up", "--to", "12")
	must(t, exitDone, url, "down", "--to", "10", "--confirm", dbtest.Name(t, url))
	status := parse(t, must(t, exitPending, url, "status", "--check", "--output", "json"))
	if got := status.inState(migrate.StateApplied); len(got) != 10 || got[9] != 10 {
		t.Errorf("applied %v, want 1 to 10", got)
	}
}

// What is rolled back is told in the order in which it was.
func TestDownReportsTheNewestFirst(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up", "--to", "5")
	name := dbtest.Value[string](t, url, "SELECT current_database()::text")
	got := must(t, exitDone, url, "down", "--to", "2", "--confirm", name)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 3 || !slices.IsSortedFunc(lines, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("says\n%s", got.stdout)
	}
}
