package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestReportInEachForm(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	for args, want := range map[string]string{
		"":                  "WHAT UP SENDS",
		"--output markdown": "## What up sends",
		"--output json":     `"verdict":"There is no table tasks yet.`,
	} {
		got := must(t, exitDone, url, append([]string{"report"}, strings.Fields(args)...)...)
		if !strings.Contains(got.stdout, want) || strings.Contains(got.stdout, "//postgres:") {
			t.Errorf("report %s: %s", args, got.stdout)
		}
	}
	file := filepath.Join(t.TempDir(), "report.html")
	must(t, exitDone, url, "report", "--html", file)
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "<!doctype html>") {
		t.Errorf("%v: %.100s", err, text)
	}
	got := must(t, exitFailed, url, "report", "--html", filepath.Join(file, "below"))
	if !strings.Contains(got.stderr, file) {
		t.Errorf("says %q", got.stderr)
	}
	must(t, exitUsage, url, "status", "--output", "markdown")
}
