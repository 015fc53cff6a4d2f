package taskstoretest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/pgserver"
)

// templatePrefix begins the names of migrated databases that tests copy; a hash of the migrations follows.
const templatePrefix = "taskstore_template_"

// templateLock is the advisory lock, on the maintenance database, for building and removing templates.
const templateLock = 0x7461736b73 // "tasks"

// The server's answers when another test binary was faster.
const (
	duplicateDatabase = "42P04"
	databaseInUse     = "55006"
)

// source is a server with a migrated database to copy.
type source struct {
	server   *pgserver.Server
	template string
}

// prepare makes sure that the server has a template of these migrations. Several test binaries may do this
// at the same time on one server: the first builds the template, the others wait for it.
func prepare(ctx context.Context, srv *pgserver.Server, migrations fs.FS) (*source, error) {
	conn, err := pgx.Connect(ctx, srv.URL)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) // this also releases the lock
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return nil, fmt.Errorf("wait for another test binary's template: %w", err)
	}
	if srv.Source == "url" { // the others end with the test binary, and their databases with them
		if err := sweep(ctx, conn, time.Now()); err != nil {
			return nil, err
		}
	}
	name, err := templateName(ctx, conn, migrations)
	if err != nil {
		return nil, err
	}
	var there bool
	err = conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there)
	if err == nil && !there {
		err = build(ctx, conn, srv, name, migrations)
	}
	if err == nil {
		err = markUsed(ctx, conn, name, time.Now())
	}
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return &source{server: srv, template: name}, nil
}

// templateName is derived from the migrations and from the role, since only its owner may copy a template.
func templateName(ctx context.Context, conn *pgx.Conn, migrations fs.FS) (string, error) {
	var role string
	if err := conn.QueryRow(ctx, "SELECT current_user").Scan(&role); err != nil {
		return "", err
	}
	hash := sha256.New()
	fmt.Fprintf(hash, "%q", role)
	err := fs.WalkDir(migrations, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(migrations, path)
		fmt.Fprintf(hash, "%q%q", path, content)
		return err
	})
	return templatePrefix + hex.EncodeToString(hash.Sum(nil)[:8]), err
}

// build migrates a database that has a test's name, and gives it the template's name at the end. A template
// that exists is therefore complete.
func build(ctx context.Context, conn *pgx.Conn, srv *pgserver.Server, name string, migrations fs.FS) error {
	address, drop, err := srv.CreateDatabase(ctx)
	if err != nil {
		return err
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return errors.Join(err, drop())
	}
	options := migrate.Defaults()
	options.FS = migrations
	if _, err := migrate.Up(ctx, address, options); err != nil {
		return errors.Join(err, drop())
	}
	// A session on a template would make every copy fail.
	_, err = conn.Exec(ctx, "ALTER DATABASE "+quote(config.Database)+" ALLOW_CONNECTIONS false")
	if err == nil {
		_, err = conn.Exec(ctx, "ALTER DATABASE "+quote(config.Database)+" RENAME TO "+quote(name))
	}
	switch {
	case err == nil:
		return nil
	case hasCode(err, duplicateDatabase): // somebody built it from another maintenance database, which has its own locks
		return drop()
	default:
		return errors.Join(err, drop())
	}
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func hasCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}
