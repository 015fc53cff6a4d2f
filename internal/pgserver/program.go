package pgserver

import (
	"context"
	"os/exec"
	"path/filepath"
)

// Local is what a test needs that handles a server's files and processes itself. Of a server that Start has not
// started here it is zero.
type Local struct {
	Dir    string // the cluster is in data within it, the socket beside that; what a test puts here goes with it
	Bindir string // of the server's programs

	prepare func(*exec.Cmd)
}

// Command runs one of the server's programs as the server's user, in Dir, with the superuser's password.
func (l Local) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(l.Bindir, program), args...)
	cmd.Dir = l.Dir
	l.prepare(cmd)
	return cmd
}

// Bindir takes the programs in that directory for a private cluster, whatever the environment names.
func Bindir(dir string) Option {
	return func(o *options) { o.bindir = dir }
}
