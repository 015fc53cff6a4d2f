package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

// 0 means everything to down; up and plan do not take it for the newest.
func TestUpRefusesVersionZero(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	for _, command := range []string{"up", "plan"} {
		for _, to := range []string{"0", "-1000"} {
			got := must(t, migrate.ExitUsage, url, command, "--to="+to)
			if !strings.Contains(got.stderr, "from 1 on") {
				t.Errorf("%s --to %s says %q", command, to, got.stderr)
			}
		}
	}
	if tables := dbtest.Value[int](t, url, "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'"); tables != 0 {
		t.Errorf("%d tables were created", tables)
	}
}

// A flag that another command has is no typing error.
func TestFlagOfAnotherCommand(t *testing.T) {
	t.Parallel()
	got := must(t, migrate.ExitUsage, "", "verify", "--check")
	if !strings.Contains(got.stderr, "--check is a flag of `taskmigrate status`") {
		t.Errorf("says %q", got.stderr)
	}
	got = must(t, migrate.ExitUsage, "", "status", "--chekc")
	if !strings.Contains(got.stderr, "did you mean --check?") {
		t.Errorf("says %q", got.stderr)
	}
}

// verify says what it compared, and that it compared nothing.
func TestVerifySaysWhatItCompared(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	if got := must(t, migrate.ExitDone, url, "verify"); !strings.HasPrefix(got.stdout, "note") || !strings.Contains(got.stdout, "no migration applied") {
		t.Errorf("of an empty database: %q", got.stdout)
	}
	must(t, migrate.ExitDone, url, "up", "--to", "3")
	if got := must(t, migrate.ExitDone, url, "verify"); !strings.HasPrefix(got.stdout, "as it should be with 3 of ") {
		t.Errorf("of version 3: %q", got.stdout)
	}
}

// What is rolled back is told in the order in which it was.
func TestDownReportsTheNewestFirst(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, migrate.ExitDone, url, "up", "--to", "5")
	name := dbtest.Value[string](t, url, "SELECT current_database()::text")
	got := must(t, migrate.ExitDone, url, "down", "--to", "2", "--confirm", name)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if len(lines) != 3 || !slices.IsSortedFunc(lines, func(a, b string) int { return strings.Compare(b, a) }) {
		t.Errorf("says\n%s", got.stdout)
	}
}
