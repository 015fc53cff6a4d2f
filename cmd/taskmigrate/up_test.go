package main

import (
	"sync"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestUpThenDownLeavesTheDatabaseAsItWas(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	before := dbtest.Contents(t, url)
	must(t, migrate.ExitDone, url, "up")
	if dbtest.Contents(t, url) == before {
		t.Fatal("up changed nothing")
	}
	must(t, migrate.ExitDone, url, "down", "--to", "0", "--confirm", dbtest.Name(t, url), "--allow-data-loss")
	if after := dbtest.Contents(t, url); after != before {
		t.Errorf("left behind:\n%s", after)
	}
}

func TestUpWithNothingToDoIsQuiet(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	must(t, migrate.ExitDone, url, "up")
	for range 2 {
		before := dbtest.Contents(t, url)
		if got := must(t, migrate.ExitDone, url, "up"); got.stdout != "" || got.stderr != "" {
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
	first := parse(t, must(t, migrate.ExitDone, url, "up", "--to", "3", "--output", "json"))
	if got := first.inState(migrate.StateApplied); len(got) != 3 || got[2] != 3 {
		t.Errorf("applied %v, want 1 to 3", got)
	}
	rest := parse(t, must(t, migrate.ExitDone, url, "up", "--output", "json"))
	for _, m := range rest.Migrations {
		if ran := m.DurationMS != nil; ran != (m.Version > 3) || m.State != migrate.StateApplied || m.AppliedAt == nil {
			t.Errorf("version %d: %+v", m.Version, m)
		}
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
		if out.code != migrate.ExitDone {
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
	if rows := dbtest.Value[int](t, url, `SELECT count(*) FROM goose_db_version`); rows != len(known)+1 {
		t.Errorf("%d rows in the history, want one a migration and goose's first", rows)
	}
}

func TestDownRefusesUnlessMeant(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	name := dbtest.Name(t, url)
	must(t, migrate.ExitDone, url, "up")
	before := dbtest.Contents(t, url)
	for _, args := range [][]string{
		{"down"},
		{"down", "--to", "0"},
		{"down", "--to", "0", "--confirm", "another"},
		{"down", "--to", "0", "--confirm", name},
		{"down", "--to", "99", "--confirm", name},
	} {
		if got := run(t, url, args...); got.code != migrate.ExitUsage {
			t.Errorf("%v: exit %d, want %d: %s", args, got.code, migrate.ExitUsage, got.stderr)
		}
	}
	if dbtest.Contents(t, url) != before {
		t.Error("a refused call changed something")
	}
	// No data goes with an index or a setting.
	must(t, migrate.ExitDone, url, "down", "--to", "10", "--confirm", name)
	status := parse(t, must(t, migrate.ExitPending, url, "status", "--check", "--output", "json"))
	if got := status.inState(migrate.StatePending); len(got) != 2 || got[0] != 11 {
		t.Errorf("pending %v, want 11 and 12", got)
	}
}
