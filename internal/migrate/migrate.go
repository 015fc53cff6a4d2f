// Package migrate does what the command taskmigrate offers: it takes a database's tasks table from one
// migration to another, on goose's Provider, while other runners and writers are live.
package migrate

import (
	"context"
	"io/fs"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/schema"
)

// Options say how long to wait for what. Start from Defaults.
type Options struct {
	FS          fs.FS          // goose migrations in plain SQL at its root; nil: schema.FS
	Wait        time.Duration  // for the server to accept connections; 0: one attempt
	LockTimeout time.Duration  // for each lock that a statement in a transaction needs; 0: none
	LockRetries int            // how often a run goes on after LockTimeout has struck
	RunLockWait time.Duration  // for another runner to finish
	IndexWait   time.Duration  // for those who block a statement outside a transaction; building does not count
	Log         *slog.Logger   // nil: no log
	Progress    func(Progress) // of a long statement, from any goroutine, one at a time; nil: not wanted
}

// Defaults are the waits that taskmigrate has without flags. LockTimeout is longer than the server's
// deadlock_timeout, one second, after which autovacuum gives way.
func Defaults() Options {
	return Options{
		LockTimeout: 2 * time.Second,
		LockRetries: 20,
		RunLockWait: 15 * time.Minute,
		IndexWait:   10 * time.Minute,
	}
}

// Up applies every pending migration to the database that connString names (a URL or key=value pairs;
// empty: libpq's PG* variables), each in the transaction mode its file asks for. It returns every
// migration, those that this call applied with their Duration.
func Up(ctx context.Context, connString string, opts Options) ([]Migration, error) {
	m, err := New(connString, opts)
	if err != nil {
		return nil, err
	}
	return m.Up(ctx, 0)
}

// Migrator works on one database. Each method opens the connections it needs and closes them.
type Migrator struct {
	config *pgx.ConnConfig
	opts   Options
	known  []source
}

// New reads the connection string and the migrations; it does not connect.
func New(connString string, opts Options) (*Migrator, error) {
	if opts.FS == nil {
		opts.FS = schema.FS
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	known, err := sources(opts.FS)
	if err != nil {
		return nil, err
	}
	config, err := parseConfig(connString)
	if err != nil {
		return nil, err
	}
	return &Migrator{config: config, opts: opts, known: known}, nil
}

// newest is the newest version of this binary.
func (m *Migrator) newest() int64 { return m.known[len(m.known)-1].version }
