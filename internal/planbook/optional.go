package main

import (
	"context"
	"os"
	"regexp"
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

// gain is the pages of one example without and with the optional indexes.
type gain struct {
	Query, Example string
	Before, After  measured
}

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
	if err := db.exec(ctx, append(createIndex.FindAllString(string(script), -1), "VACUUM (ANALYZE) tasks")...); err != nil {
		return o, err
	}
	if o.After, err = db.indexSize(ctx); err != nil {
		return o, err
	}
	for _, p := range pages {
		list := strings.HasPrefix(p.Name, "ListTasksBy")
		if !list && p.Name != "CreateTasks" && p.Name != "ClaimTasks" && p.Name != "FinishTasks" && p.Name != "HeartbeatTasks" {
			continue
		}
		for _, before := range p.Measured {
			after, err := db.measure(ctx, p.query, before.example)
			if err != nil {
				return o, err
			}
			g := gain{p.Name, before.Name, before, after}
			if list {
				o.Lists = append(o.Lists, g)
			} else {
				o.Writes = append(o.Writes, g)
			}
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
