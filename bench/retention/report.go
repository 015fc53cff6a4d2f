package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"

	"github.com/tasklane/tasks/bench/page"
)

const (
	file  = "retention.json"
	begin = "<!-- What follows is written by make bench-retention. -->\n"
	end   = "<!-- What make bench-retention writes ends here. -->\n"
)

// report is a run.
type report struct {
	Date    string   `json:"date"`
	Rows    int64    `json:"rows"`
	Before  state    `json:"before"`
	After   state    `json:"after"`
	Vacuums []vacuum `json:"vacuums"`
	Samples []sample `json:"samples"`
}

// saved returns the runs of the file, that with the fewest rows first.
func saved() ([]report, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var runs []report
	err = json.Unmarshal(data, &runs)
	return runs, err
}

// write saves the run in place of an earlier one with as many rows.
func (r *report) write() error {
	runs, err := saved()
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(runs, func(other report) bool { return other.Rows == r.Rows })
	runs = append(runs, *r)
	slices.SortFunc(runs, func(a, b report) int { return int(a.Rows - b.Rows) })
	return page.Save(file, runs)
}

// writePage puts the runs of the file into the page.
func writePage() error {
	runs, err := saved()
	if err != nil {
		return err
	}
	return page.Put(begin, end, table(runs))
}
