// Command taskmigrate brings the tasks table of a live database to the newest migration, and tells
// where a database stands.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	// Certificates of public authorities, for where the machine has none, as in a container without a system.
	_ "golang.org/x/crypto/x509roots/fallback"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{args: os.Args[1:], env: os.LookupEnv, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	os.Exit(int(a.run(ctx)))
}
