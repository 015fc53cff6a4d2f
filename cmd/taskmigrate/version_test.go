package main

import (
	"testing"

	"github.com/tasklane/tasks/internal/cli/clitest"
	"github.com/tasklane/tasks/internal/migrate"
)

func TestVersionNeedsNoDatabase(t *testing.T) {
	t.Parallel()
	got := parse(t, must(t, exitDone, "postgres://me@"+clitest.ClosedPort(t)+"/x", "version", "--output", "json"))
	known, err := migrate.Known()
	if err != nil {
		t.Fatal(err)
	}
	if got.Version == "" || len(got.Migrations) != 1 || got.Migrations[0].Name != known[len(known)-1].Name {
		t.Errorf("got %+v", got)
	}
}
