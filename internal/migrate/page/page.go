// Package page writes a migrate.Review for people: as one HTML file that needs no network, as Markdown for a
// pull request, and as text for a terminal.
package page

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"io"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/tasklane/tasks/internal/migrate"
)

//go:embed page.html page.md page.txt
var files embed.FS

var functions = map[string]any{
	"size": size, "level": level, "files": statementsByFile, "cell": cell, "fence": fence, "applied": applied,
	"sql":   func(s migrate.Statement) string { return strings.TrimSuffix(strings.TrimSpace(s.SQL), ";") + ";" },
	"args":  func(i int, arg any) string { return fmt.Sprintf("$%d = %v", i+1, arg) },
	"time":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"bloat": func(b *int64) string { return size(*b) },
}

var (
	html  = htmltemplate.Must(htmltemplate.New("page.html").Funcs(functions).ParseFS(files, "page.html"))
	plain = template.Must(template.New("page").Funcs(functions).ParseFS(files, "page.md", "page.txt"))
)

// HTML writes the page.
func HTML(w io.Writer, r migrate.Review) error { return html.Execute(w, r) }

// Markdown writes the same for a pull request.
func Markdown(w io.Writer, r migrate.Review) error { return plain.ExecuteTemplate(w, "page.md", r) }

// Text writes the same for a terminal.
func Text(w io.Writer, r migrate.Review) error { return plain.ExecuteTemplate(w, "page.txt", r) }

// file is the part of a plan that one migration is.
type file struct {
	Heading    string
	Recorded   bool // its work is there, so that it is only recorded
	Statements []migrate.Statement
}

func statementsByFile(p migrate.Plan) []file {
	var list []file
	last := "-"
	for _, s := range p.Statements {
		if s.File != last {
			last = s.File
			list = append(list, file{Heading: s.Heading(), Recorded: slices.Contains(p.Recorded, s.File)})
		}
		at := &list[len(list)-1]
		at.Statements = append(at.Statements, s)
	}
	return list
}

// level is how much a statement disturbs others.
func level(s migrate.Statement) string {
	switch {
	case s.Blocks == "":
		return "free"
	case strings.HasPrefix(s.Blocks, "reads"):
		return "stops everybody"
	case strings.HasPrefix(s.Blocks, "writes"):
		return "stops writers"
	}
	return "lets others work"
}

func applied(list []migrate.Migration) string {
	n := 0
	for _, m := range list {
		if m.State == migrate.StateApplied {
			n++
		}
	}
	return fmt.Sprintf("%d of %d", n, len(list))
}

func size(bytes int64) string {
	amount, unit := float64(bytes), "bytes"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if amount < 1000 {
			break
		}
		amount, unit = amount/1000, next
	}
	if unit == "bytes" {
		return fmt.Sprintf("%d bytes", bytes)
	}
	return fmt.Sprintf("%.1f %s", amount, unit)
}

// cell makes a text fit into a cell of a Markdown table.
func cell(text string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ", "<", "&lt;", "*", "\\*", "_", "\\_", "`", "\\`").
		Replace(text)
}

// fence is longer than any run of backticks in the text that it encloses.
func fence(text string) string {
	mark := "```"
	for strings.Contains(text, mark) {
		mark += "`"
	}
	return mark
}
