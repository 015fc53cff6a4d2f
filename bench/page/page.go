// Package page puts measurements into docs/performance.md, and saves their figures beside the programs.
package page

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// File is the page, from the directory that the programs run in.
const File = "../docs/performance.md"

// Put puts text between two lines of the page.
func Put(begin, end, text string) error {
	data, err := os.ReadFile(File)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(data), begin)
	_, after, ends := strings.Cut(rest, end)
	if !begins || !ends {
		return fmt.Errorf("%s lacks the lines %q and %q, between which the results go", File, begin, end)
	}
	data = []byte(before + begin + text + end + after)
	return os.WriteFile(File, data, 0o644) //nolint:gosec // the file's name is a constant
}

// Save writes figures into a file of this directory.
func Save(file string, figures any) error {
	data, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// Load returns the machine's load of the last minute, or 0 where the system does not tell.
func Load() (load float64) {
	text, _ := os.ReadFile("/proc/loadavg")
	_, _ = fmt.Sscan(string(text), &load)
	return load
}
