//go:build !unix

package pgserver

import (
	"context"
	"fmt"
	"runtime"
)

// startLocal needs signals, sockets and a shell as Unix has them; elsewhere a URL or Docker serves.
func startLocal(context.Context, config, options) (*Server, error) {
	return nil, fmt.Errorf("server binaries on %s: %w", runtime.GOOS, errNone)
}
