//go:build !unix

package pgserver

import (
	"context"
	"fmt"
	"runtime"
)

// startLocal needs the signals, sockets and shell of Unix. Other systems need a URL or Docker.
func startLocal(context.Context, config, options) (*Server, error) {
	return nil, fmt.Errorf("server binaries on %s: %w", runtime.GOOS, ErrNone)
}
