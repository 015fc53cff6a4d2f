// Package taskmigrate runs the command of that name.
package taskmigrate

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the command. Remove removes it again.
func Build(ctx context.Context) (run Command, remove func(), err error) {
	dir, err := os.MkdirTemp("", "bench-taskmigrate")
	if err != nil {
		return nil, nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) } // a leftover in the temporary directory
	binary := filepath.Join(dir, "taskmigrate")
	build := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", binary, "./cmd/taskmigrate")
	if out, err := build.CombinedOutput(); err != nil {
		remove()
		return nil, nil, fmt.Errorf("building taskmigrate: %w: %s", err, out)
	}
	return func(ctx context.Context, url string, args ...string) error {
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Env = append(os.Environ(), "DATABASE_URL="+url)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("taskmigrate %v: %w:\n%s", args, err, out)
		}
		return nil
	}, remove, nil
}

// Command runs taskmigrate on a database.
type Command func(ctx context.Context, url string, args ...string) error
