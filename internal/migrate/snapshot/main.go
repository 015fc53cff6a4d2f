// Command snapshot writes down how the tasks table looks after each migration, for `taskmigrate verify`
// to compare with. It runs the migrations on a throwaway server, from the module's root.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/pgserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := generate(ctx, "internal/migrate/catalog"); err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func generate(ctx context.Context, dir string) (err error) {
	server, err := pgserver.Start(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	url, drop, err := server.CreateDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()

	migrator, err := migrate.New(url, migrate.Defaults())
	if err != nil {
		return err
	}
	known, err := migrate.Known()
	if err != nil {
		return err
	}
	for _, m := range known {
		if _, err := migrator.Up(ctx, m.Version); err != nil {
			return err
		}
		items, err := catalog.Read(ctx, conn)
		if err != nil {
			return err
		}
		text, err := catalog.Marshal(items)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, catalog.FileName(m.Version)), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
