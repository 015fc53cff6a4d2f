package main

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/tasklane/tasks/internal/cli"
	"github.com/tasklane/tasks/taskstore"
)

// report is what a command says, in JSON as in text. Scripts rely on the JSON.
type report struct {
	OK         bool     `json:"ok"`
	Command    string   `json:"command"`
	ExitCode   exitCode `json:"exit_code"`
	Version    string   `json:"version"`
	Stats      *stats   `json:"stats,omitempty"`
	Change     *change  `json:"change,omitempty"`
	Tasks      []task   `json:"tasks,omitzero"`
	NextBefore int64    `json:"next_before,omitempty"` // of list, for the next page; 0: this is the last
	Error      *failure `json:"error"`

	text string // what the text form says on standard output
	note string // and on standard error
}

func (r *report) fail(f *failure) { r.ExitCode, r.Error = f.code, f }

// write prints the report: the result on out, and in text a failure, in one line, on errs.
func (r *report) write(out, errs io.Writer, asJSON bool) {
	if asJSON {
		r.OK, r.Version = r.ExitCode == exitDone, cli.Version()
		cli.WriteJSON(out, r)
		return
	}
	fmt.Fprint(out, r.text)
	fmt.Fprint(errs, r.note)
	if r.Error != nil {
		cli.WriteFailure(errs, "tasks", r.Error.Message, r.Error.Hint)
	}
}

// task is a task as it is printed.
type task struct {
	taskstore.Task

	Failure *lastFailure `json:"failure,omitempty"` // only get reads it
}

type lastFailure struct {
	Count   int              `json:"count"`
	Reason  string           `json:"reason"`
	At      taskstore.Millis `json:"at"`
	RetryAt taskstore.Millis `json:"retry_at"` // 0: not by itself again
}

func asPrinted(ts []taskstore.Task) []task {
	list := make([]task, len(ts))
	for i, t := range ts {
		list[i].Task = t
	}
	return list
}

// tasksTable has a line a task.
func tasksTable(ts []task) string {
	return cli.Table(func(w io.Writer) {
		fmt.Fprintln(w, "id\tstatus\tintegration\tuser\tclient\taccount\ttemplate\tcreated\tupdated\targument")
		for _, t := range ts {
			fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", t.ID, t.Status, t.IntegrationID, t.UserID,
				t.ClientID, t.AccountID, t.TemplateID, at(t.CreatedAt), at(t.UpdatedAt), cut(t.Argument, 40))
		}
	})
}

// taskText has a line a field.
func taskText(t task) string {
	return cli.Table(func(w io.Writer) {
		fmt.Fprintf(w, "id\t%d\nstatus\t%s\nintegration\t%d\nuser\t%d\nclient\t%d\naccount\t%d\ntemplate\t%d\n",
			t.ID, t.Status, t.IntegrationID, t.UserID, t.ClientID, t.AccountID, t.TemplateID)
		fmt.Fprintf(w, "created\t%s\nupdated\t%s\n", at(t.CreatedAt), at(t.UpdatedAt))
		if f := t.Failure; f != nil {
			fmt.Fprintf(w, "failures\t%d, the last at %s\nreason\t%s\n", f.Count, at(f.At), printable(f.Reason))
			if f.RetryAt != 0 {
				fmt.Fprintf(w, "retry at\t%s\n", at(f.RetryAt))
			}
		}
		fmt.Fprintf(w, "argument\t%s\n", printable(t.Argument))
	})
}

func at(m taskstore.Millis) string { return m.Time().Format(time.RFC3339) }

// printable puts a text of somebody else into one line, and takes what could command a terminal out of it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// cut is the beginning of a text, as a terminal may have it.
func cut(s string, most int) string {
	runes := []rune(printable(s[:min(len(s), 4*most+4)]))
	if len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(runes)
}
