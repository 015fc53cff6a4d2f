package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// report is what a command says, in JSON as in text. Scripts rely on the JSON.
type report struct {
	OK         bool                `json:"ok"`
	Command    string              `json:"command"`
	ExitCode   exitCode            `json:"exit_code"`
	Version    string              `json:"version"`
	Migrations []migrate.Migration `json:"migrations"`
	Findings   []catalog.Finding   `json:"findings"`
	Error      *migrate.Error      `json:"error"`
	Plan       *migrate.Plan       `json:"plan,omitempty"`
	Review     *migrate.Review     `json:"review,omitempty"`

	before, after string // what the text form says before and after the findings
}

// fail reports a failure. again is the command line with which to go on, if that is possible.
func (r *report) fail(failure *migrate.Error, again string) {
	r.ExitCode, r.Error = failures[failure.Kind].code, failure
	hints := []string{failure.Hint, failures[failure.Kind].hint}
	if failure.Resumable {
		hints = append(hints, "go on with `"+again+"`")
	}
	hints = slices.DeleteFunc(hints, func(hint string) bool { return hint == "" })
	for i, hint := range hints {
		hints[i] = strings.TrimSuffix(hint, ".") // the server's ends with one
	}
	failure.Hint = strings.Join(hints, "; ")
}

// migrated reports what a run changed. A run that had nothing to do is quiet.
func (r *report) migrated(list []migrate.Migration) {
	r.Migrations = list
	ran := slices.DeleteFunc(slices.Clone(list), func(m migrate.Migration) bool { return m.DurationMS == nil })
	if slices.ContainsFunc(ran, isPending) {
		slices.Reverse(ran) // rolled back, the newest first
	}
	r.before = cli.Table(func(w io.Writer) {
		for _, m := range ran {
			done := "applied"
			if isPending(m) {
				done = "rolled back"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", done, m.Name, time.Duration(*m.DurationMS)*time.Millisecond)
		}
	})
}

func (r *report) writeJSON(out io.Writer) {
	r.OK, r.Version = r.ExitCode == exitDone, cli.Version()
	if r.Migrations == nil {
		r.Migrations = []migrate.Migration{}
	}
	if r.Findings == nil {
		r.Findings = []catalog.Finding{}
	}
	cli.WriteJSON(out, r)
}

// writeText puts results on out and a failure, in one line, on errs.
func (r *report) writeText(out, errs io.Writer) {
	fmt.Fprint(out, r.before)
	if r.Review == nil { // whose text has the plan and the findings
		r.writeDetails(out)
	}
	fmt.Fprint(out, r.after)
	if r.Error != nil {
		cli.WriteFailure(errs, "taskmigrate", r.Error.Error(), r.Error.Hint)
	}
}

func (r *report) writeDetails(out io.Writer) {
	if r.Plan != nil {
		writePlan(out, r.Plan)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(out, "%-6s  %s %s: expected %s, found %s", f.Severity, f.Kind, f.Object, f.Expected, f.Actual)
		if f.Cause != "" {
			fmt.Fprintf(out, " (%s)", f.Cause)
		}
		fmt.Fprintln(out)
	}
}
