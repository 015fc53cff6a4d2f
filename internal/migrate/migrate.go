package migrate

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/connect"
	"github.com/tasklane/tasks/schema"
)

// Newest stands for the newest version: with it Up and Plan leave nothing pending.
const Newest int64 = math.MaxInt64

// Options say where the table lives and how long to wait for what. Start from Defaults.
type Options struct {
	FS             fs.FS          // goose migrations in plain SQL at its root; nil: schema.FS
	Schema         string         // where tasks lives; empty: the search path's first schema that has it
	HistoryTable   string         // the history, beside tasks; empty: HistoryTable
	Wait           time.Duration  // for the server to accept connections; 0: one attempt
	LockTimeout    time.Duration  // for each lock that a statement in a transaction needs; 0: no limit
	LockRetries    int            // how often a run tries again after LockTimeout
	RunLockWait    time.Duration  // for another runner to finish
	IndexWait      time.Duration  // for those who block a statement outside a transaction; building does not count
	BackfillPause  time.Duration  // after each slice of a back-fill
	BackfillMaxLag int64          // bytes of WAL that a standby may be behind before a back-fill waits for it; 0: no limit
	Log            *slog.Logger   // nil: no log
	Progress       func(Progress) // of a long statement, from any goroutine, one at a time; nil: not wanted
}

// Defaults are the waits that taskmigrate has without flags. LockTimeout is longer than the server's
// deadlock_timeout, one second, after which autovacuum gives way.
func Defaults() Options {
	return Options{
		LockTimeout:    2 * time.Second,
		LockRetries:    20,
		RunLockWait:    15 * time.Minute,
		IndexWait:      10 * time.Minute,
		BackfillMaxLag: 256 << 20,
	}
}

// Up applies every pending migration to the database that connString names (a URL or key=value pairs;
// empty: libpq's PG* variables). See Migrator.Up.
func Up(ctx context.Context, connString string, opts Options) ([]Migration, error) {
	m, err := New(connString, opts)
	if err != nil {
		return nil, err
	}
	return m.Up(ctx, Newest)
}

// Migrator works on one database. Each method opens the connections it needs and closes them.
type Migrator struct {
	config *pgx.ConnConfig
	opts   Options
	known  []source
	home   home // zero until the first connection of a call has found it
}

// New reads the connection string and the migrations; it does not connect.
func New(connString string, opts Options) (*Migrator, error) {
	if opts.FS == nil {
		opts.FS = schema.FS
	}
	if opts.HistoryTable == "" {
		opts.HistoryTable = HistoryTable
	}
	if slices.Contains([]string{"tasks", "task_keys", "task_failures"}, opts.HistoryTable) {
		return nil, requestError("the history cannot be in table %s, which a migration creates", opts.HistoryTable)
	}
	if strings.Contains(opts.HistoryTable, ".") {
		return nil, requestError("the history is in the schema of tasks, so that its name has no dot; see --schema")
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	known, err := sources(opts.FS)
	if err != nil {
		return nil, err
	}
	pool, err := connect.Parse(connString) // with parameters of a pool, which do nothing here
	if bad, ok := errors.AsType[*connect.Malformed](err); ok {
		return nil, &Error{Kind: BadRequest, Message: bad.Message, Hint: bad.Hint}
	} else if err != nil {
		return nil, err
	}
	config := pool.ConnConfig
	config.DialFunc = dialer.DialContext
	m := &Migrator{config: config, opts: opts, known: known}
	config.Tracer = silence{m, silentFor}
	return m, nil
}

// newest is the newest version of this binary.
func (m *Migrator) newest() int64 { return m.known[len(m.known)-1].version }

// Up applies what is pending, up to and including version to, or all of it with Newest. Each file commits
// in the transaction mode it asks for, so after an error the files before it are applied. It returns
// every migration as it then stands, after an error too. Safe to call while others do the same.
func (m *Migrator) Up(ctx context.Context, to int64) ([]Migration, error) {
	if err := m.checkVersion(to); err != nil {
		return nil, err
	}
	conn, m, err := m.connect(ctx)
	if err != nil {
		return nil, err
	}
	r := m.newRun(to, false)
	list, todo, err := r.todo(ctx, conn)
	if err == nil && len(todo) > 0 {
		err = m.checkRights(ctx, conn)
	}
	closeConn(conn)
	if err != nil || len(todo) == 0 {
		return list, err
	}
	return r.outcome(ctx, list, r.migrate(ctx))
}

// checkVersion refuses a version that no migration has.
func (m *Migrator) checkVersion(version int64) error {
	if version == Newest || slices.ContainsFunc(m.known, func(s source) bool { return s.version == version }) {
		return nil
	}
	return requestError("no migration has version %d; the newest is %d", version, m.newest())
}

// Database is the name of the database that the connection string leads to.
func (m *Migrator) Database(ctx context.Context) (name string, err error) {
	conn, _, err := m.connect(ctx)
	if err != nil {
		return "", err
	}
	defer closeConn(conn)
	if err := conn.QueryRow(ctx, `SELECT current_database()`).Scan(&name); err != nil {
		return "", asError(ctx, err)
	}
	return name, nil
}
