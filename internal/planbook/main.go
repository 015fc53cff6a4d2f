// Command planbook writes docs/plans.md: the plan and the pages of each query in the folder queries, on a
// million rows that are the same on every run.
//
//	go run ./internal/planbook          write it
//	go run ./internal/planbook -check   fail if it is not what would be written
//
// Either fails if a query has no entry in the book, does not use the index it must, or touches more
// pages than its budget. The server is found or started as package pgserver says; the file holds for
// one major version of PostgreSQL, which it names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	check := flag.Bool("check", false, "compare with the file instead of writing it")
	out := flag.String("out", "docs/plans.md", "the file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "planbook:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, out string, check bool) error {
	queries, err := readQueries("queries")
	if err != nil {
		return err
	}
	findings := unmatched(queries, book())
	db, err := openDatabase(ctx)
	if err != nil {
		return err
	}
	defer db.close()
	pages, err := measureBook(ctx, db, queries, book())
	if err != nil {
		return err
	}
	for _, p := range pages {
		findings = append(findings, p.findings()...)
	}
	optional, err := measureOptional(ctx, db, pages)
	if err != nil {
		return err
	}
	text, err := render(document{Version: db.version, Settings: settings, Pages: pages, Optional: optional})
	if err != nil {
		return err
	}
	if check {
		findings = append(findings, compare(out, text)...)
	} else if err := os.WriteFile(out, []byte(text), 0o644); err != nil {
		return err
	}
	return errors.Join(findings...)
}

// measureBook measures every query that has an entry.
func measureBook(ctx context.Context, db *database, queries []query, b map[string]entry) ([]page, error) {
	var pages []page
	for _, q := range queries {
		e, ok := b[q.Name]
		if !ok {
			continue
		}
		p := page{query: q, entry: e}
		for _, ex := range e.Examples {
			m, err := db.measure(ctx, q, ex, p.Planned)
			if err != nil {
				return nil, err
			}
			p.Measured = append(p.Measured, m)
		}
		pages = append(pages, p)
	}
	return pages, nil
}
