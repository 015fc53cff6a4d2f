package pgserver

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// installDirs are where packages put server binaries without adding them to PATH.
var installDirs = []string{
	"/usr/lib/postgresql/*/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
}

// findBinaries returns the directory that holds initdb, pg_ctl and postgres, or ErrNone.
func findBinaries(ctx context.Context, bindir string) (string, error) {
	if bindir != "" {
		if !complete(bindir) {
			// It was asked for by name, so nothing else may stand in for it.
			return "", fmt.Errorf("TASKSTORE_TEST_POSTGRES_BINDIR=%s holds no initdb, pg_ctl and postgres", bindir)
		}
		return bindir, nil
	}
	dirs := onPath(exec.LookPath)
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	dirs = append(dirs, installed(installDirs)...)
	for _, dir := range dirs {
		if complete(dir) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("server binaries: %w (PATH, pg_config --bindir, %s)", ErrNone, strings.Join(installDirs, ", "))
}

// onPath returns where PATH has server programs, and where these really are: PATH may hold links to some of them only.
func onPath(lookPath func(string) (string, error)) []string {
	var dirs []string
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		path, err := lookPath(name)
		if err != nil {
			continue
		}
		dirs = append(dirs, filepath.Dir(path))
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	return dirs
}

// installed expands the patterns in their order, within each the newest version first.
func installed(patterns []string) []string {
	var dirs []string
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are well-formed
		slices.SortStableFunc(found, func(a, b string) int { return cmp.Compare(versionOf(b), versionOf(a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

var trailingVersion = regexp.MustCompile(`[0-9]+(\.[0-9]+)?$`)

// versionOf reads 17 from /usr/lib/postgresql/17/bin and from …/postgresql@17/bin, and 0 where none is named.
func versionOf(bindir string) float64 {
	v, _ := strconv.ParseFloat(trailingVersion.FindString(filepath.Dir(bindir)), 64)
	return v
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}
