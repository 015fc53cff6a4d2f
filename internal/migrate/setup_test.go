package migrate

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

const insertTask = `
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
VALUES (1, 2, 3, 4, 5, '{}')`

// bundle is a database of a test's own and a Migrator on it.
type bundle struct {
	*Migrator
	url string
	log *dbtest.Journal
}

func setup(t *testing.T) *bundle {
	t.Helper()
	return setupWith(t, dbtest.New(t), func(*Options) {})
}

// setupWith makes a Migrator with other options.
func setupWith(t *testing.T, url string, change func(*Options)) *bundle {
	t.Helper()
	b := &bundle{url: url, log: &dbtest.Journal{}}
	opts := Defaults()
	opts.Log = slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	change(&opts)
	m, err := New(url, opts)
	if err != nil {
		t.Fatal(err)
	}
	b.Migrator = m
	return b
}

// migrated is a database with every migration applied.
func migrated(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantKind holds an error to its kind and returns it.
func wantKind(t *testing.T, err error, kind Kind) *Error {
	t.Helper()
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Kind != kind {
		t.Fatalf("error %v, want kind %d", err, kind)
	}
	return failure
}

// ownServer starts a server with settings that the other tests' server has not.
func ownServer(t *testing.T, settings ...pgserver.Option) *pgserver.Server {
	t.Helper()
	server, err := pgserver.StartLocal(t.Context(), settings...)
	if errors.Is(err, pgserver.ErrNone) {
		t.Skipf("NOT TESTED: a server is set up here, which needs its programs on this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}
