package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tasklane/tasks/internal/migrate"
)

// report is what a command says, in JSON as in text. Scripts rely on the JSON.
type report struct {
	OK         bool             `json:"ok"`
	Command    string           `json:"command"`
	ExitCode   migrate.ExitCode `json:"exit_code"`
	Version    string           `json:"version"`
	Migrations []migration      `json:"migrations"`
	Findings   []finding        `json:"findings"`
	Error      *problem         `json:"error"`
	Plan       *plan            `json:"plan,omitempty"`

	text, after string // what the text form says before and after the findings
}

type migration struct {
	Version    int64      `json:"version"`
	Name       string     `json:"name"`
	State      string     `json:"state"`
	AppliedAt  *time.Time `json:"applied_at"`
	DurationMS *int64     `json:"duration_ms"`
}

type finding struct {
	Kind     string `json:"kind"`
	Object   string `json:"object"`
	Expected string `json:"expected"`
	Actual   string `json:"actual"`
	Severity string `json:"severity"`
	Cause    string `json:"cause"`
}

type problem struct {
	Message   string `json:"message"`
	SQLState  string `json:"sqlstate"`
	File      string `json:"file"`
	Statement int    `json:"statement"`
	Hint      string `json:"hint"`
}

func (r *report) fail(err *migrate.Error) {
	r.ExitCode = err.Code
	r.Error = &problem{Message: err.Error(), SQLState: err.SQLState(), File: err.File, Statement: err.Statement, Hint: err.Hint}
}

func (r *report) add(list []migrate.Migration) {
	for _, m := range list {
		entry := migration{Version: m.Version, Name: m.Name, State: m.State}
		if !m.AppliedAt.IsZero() {
			entry.AppliedAt = &m.AppliedAt
		}
		if m.Duration > 0 {
			ms := m.Duration.Milliseconds()
			entry.DurationMS = &ms
		}
		r.Migrations = append(r.Migrations, entry)
	}
}

// listed reports where each migration stands.
func (r *report) listed(list []migrate.Migration) {
	r.add(list)
	r.text += table(func(w io.Writer) {
		for _, m := range list {
			at := ""
			if !m.AppliedAt.IsZero() {
				at = m.AppliedAt.Format(time.RFC3339)
			}
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", m.Version, m.State, at, m.Name)
		}
	})
}

// migrated reports what a run changed. A run that had nothing to do is quiet.
func (r *report) migrated(list []migrate.Migration) {
	r.add(list)
	if slices.ContainsFunc(list, func(m migrate.Migration) bool { return m.Duration > 0 && m.State == migrate.StatePending }) {
		list = slices.Clone(list)
		slices.Reverse(list) // rolled back, the newest first
	}
	r.text += table(func(w io.Writer) {
		for _, m := range list {
			if m.Duration == 0 {
				continue
			}
			done := map[string]string{migrate.StateApplied: "applied", migrate.StatePending: "rolled back"}[m.State]
			fmt.Fprintf(w, "%s\t%s\t%s\n", done, m.Name, m.Duration.Round(time.Millisecond))
		}
	})
}

func (r *report) found(list []migrate.Finding) {
	for _, f := range list {
		r.Findings = append(r.Findings, finding(f))
	}
}

func table(rows func(io.Writer)) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	rows(w)
	_ = w.Flush()
	return text.String()
}

func (r *report) writeJSON(out io.Writer) {
	r.OK, r.Version = r.ExitCode == migrate.ExitDone, binaryVersion()
	if r.Migrations == nil {
		r.Migrations = []migration{}
	}
	if r.Findings == nil {
		r.Findings = []finding{}
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(r)
}

// writeText puts results on out and a failure, in one line, on errs.
func (r *report) writeText(out, errs io.Writer) {
	fmt.Fprint(out, r.text)
	if r.Plan != nil {
		r.Plan.writeText(out)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(out, "%-6s  %s %s: expected %s, found %s", f.Severity, f.Kind, f.Object, f.Expected, f.Actual)
		if f.Cause != "" {
			fmt.Fprintf(out, " (%s)", f.Cause)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprint(out, r.after)
	if r.Error == nil {
		return
	}
	fmt.Fprintf(errs, "taskmigrate: %s", r.Error.Message)
	if r.Error.Hint != "" {
		fmt.Fprintf(errs, " (%s)", r.Error.Hint)
	}
	fmt.Fprintln(errs)
}
