package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
)

const optionalIndexes = "docs/optional-indexes.sql"

// optional is what the optional indexes bring and cost.
type optional struct {
	Lists  []gain
	Writes []gain
	Before string // the size of all indexes
	After  string
}

// gain is the pages of one example without the optional indexes, with them, and with them and a planner that reckons
// with an SSD.
type gain struct {
	Query, Example     string
	Before, After, SSD measured
}

// ssd is a usual random_page_cost for storage that reads pages at random as fast as in a row.
const ssd = "1.1"

var createIndex = regexp.MustCompile(`(?m)^CREATE INDEX CONCURRENTLY [^;]+;`)

// measureOptional builds the optional indexes and measures the lists by a value again, and some writes.
func measureOptional(ctx context.Context, db *database, pages []page) (o optional, err error) {
	script, err := os.ReadFile(optionalIndexes)
	if err != nil {
		return o, err
	}
	if o.Before, err = db.indexSize(ctx); err != nil {
		return o, err
	}
	build := createIndex.FindAllString(string(script), -1)
	if err := db.exec(ctx, append(build, "VACUUM (ANALYZE) tasks")...); err != nil {
		return o, err
	}
	if o.After, err = db.indexSize(ctx); err != nil {
		return o, err
	}
	for _, p := range pages {
		writes := slices.Contains([]string{"CreateTasks", "ClaimTasks", "FinishTasks", "HeartbeatTasks"}, p.Name)
		if !writes && !strings.HasPrefix(p.Name, "ListTasksBy") {
			continue
		}
		for _, before := range p.Measured {
			g := gain{Query: p.Name, Example: before.Name, Before: before}
			if g.After, err = db.measure(ctx, p.query, before.example, p.Planned); err != nil {
				return o, err
			}
			if writes {
				o.Writes = append(o.Writes, g)
				continue
			}
			if err := db.exec(ctx, "SET random_page_cost = "+ssd); err != nil {
				return o, err
			}
			if g.SSD, err = db.measure(ctx, p.query, before.example, p.Planned); err != nil {
				return o, err
			}
			if err := db.exec(ctx, "SET random_page_cost = 4"); err != nil {
				return o, err
			}
			o.Lists = append(o.Lists, g)
		}
	}
	return o, nil
}

func (db *database) indexSize(ctx context.Context) (string, error) {
	lines, err := db.text(ctx, "SELECT pg_size_pretty(pg_indexes_size('tasks'))")
	if err != nil {
		return "", err
	}
	return lines[0], nil
}
