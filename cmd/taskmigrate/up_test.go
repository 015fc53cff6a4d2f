package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestUpThenDownLeavesTheDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	before := dbtest.Contents(t, url)
	must(t, exitDone, url, "up")
	if dbtest.Contents(t, url) == before {
		t.Fatal("up changed nothing")
	}
	must(t, exitDone, url, "down", "--to", "0", "--confirm", dbtest.Name(t, url), "--allow-data-loss")
	if after := dbtest.Contents(t, url); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestUpWithNothingToDoIsQuiet(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, exitDone, url, "up")
	for range 2 {
		before := dbtest.Contents(t, url)
		if got := must(t, exitDone, url, "up"); got.stdout != "" || got.stderr != "" {
			t.Errorf("said %q and %q", got.stdout, got.stderr)
		}
		if dbtest.Contents(t, url) != before {
			t.Error("changed something")
		}
	}
}

func TestUpStopsAtTo(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	first := parse(t, must(t, exitDone, url, "up", "--to", "3", "--output", "json"))
	if got := first.inState(migrate.StateApplied); len(got) != 3 || got[2] != 3 {
		t.Errorf("applied %v, want 1 to 3", got)
	}
	rest := parse(t, must(t, exitDone, url, "up", "--output", "json"))
	for _, m := range rest.Migrations {
		ran := m.DurationMS != nil
		if ran != (m.Version > 3) || m.State != migrate.StateApplied || m.AppliedAt == nil {
			t.Errorf("version %d: %+v", m.Version, m)
		}
	}
}

// 0 means everything to down; up and plan do not take it for the newest.
func TestUpRefusesVersionZero(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	for _, command := range []string{"up", "plan"} {
		for _, to := range []string{"0", "-1000"} {
			got := must(t, exitUsage, url, command, "--to="+to)
			if !strings.Contains(got.stderr, "from 1 on") {
				t.Errorf("%s --to %s says %q", command, to, got.stderr)
			}
		}
	}
	const count = "SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public'"
	if tables := dbtest.Value[int](t, url, count); tables != 0 {
		t.Errorf("%d tables were created", tables)
	}
}

func TestEightRunnersApplyEachMigrationOnce(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	var runners sync.WaitGroup
	outcomes := make([]outcome, 8)
	for i := range outcomes {
		runners.Go(func() { outcomes[i] = run(t, url, "up", "--output", "json") })
	}
	runners.Wait()
	times := map[int64]int{}
	for _, out := range outcomes {
		if out.code != exitDone {
			t.Errorf("exit %d: %s%s", out.code, out.stdout, out.stderr)
		}
		for _, m := range parse(t, out).Migrations {
			if m.DurationMS != nil {
				times[m.Version]++
			}
		}
	}
	known, err := migrate.Known()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range known {
		if times[m.Version] != 1 {
			t.Errorf("version %d ran %d times", m.Version, times[m.Version])
		}
	}
	if rows := dbtest.Value[int](t, url, `SELECT count(*) FROM tasks_goose_version`); rows != len(known)+1 {
		t.Errorf("%d rows in the history, want one a migration and goose's first", rows)
	}
}
