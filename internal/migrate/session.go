package migrate

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tasklane/tasks/internal/connect"
)

// open opens the run's session: a pool of one, so that the lock which that session holds is the run's.
// Should it be lost between two statements, the pool opens another.
func (r *run) open() *sql.DB {
	db := sql.OpenDB(connector{run: r})
	db.SetMaxOpenConns(1)
	return db
}

// connector opens the sessions of a run.
type connector struct {
	driver.Connector
	run *run
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	config := c.run.config.Copy()
	config.OnNotice = c.run.notice
	connect.CancelOnServer(config) // the connection has to roll back, and to free the run lock
	settle := func(ctx context.Context, conn *pgx.Conn) error {
		if _, err := c.run.settle(ctx, conn); err != nil {
			return err
		}
		// For statements outside a transaction. The watcher gives up first, and names who blocks, if it can.
		_, err := conn.Exec(ctx, `SELECT set_config('lock_timeout', $1, false)`, c.run.indexWaitLimit())
		return err
	}
	alwaysPing := func(context.Context, stdlib.ShouldPingParams) bool { return true }
	opener := stdlib.GetConnector(*config, stdlib.OptionAfterConnect(settle), stdlib.OptionShouldPing(alwaysPing))
	var conn driver.Conn
	err := withSlot(ctx, func() (err error) {
		conn, err = opener.Connect(ctx)
		return err
	})
	if err != nil {
		return nil, c.run.connectError(ctx, err)
	}
	return &session{Conn: conn.(*stdlib.Conn), run: c.run}, nil
}

// onSession lends out the pgx connection of db's session. Statements on it are not part of a script.
func onSession(ctx context.Context, db *sql.DB, do func(context.Context, *pgx.Conn) error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return lend(ctx, conn, do)
}

func lend(ctx context.Context, conn *sql.Conn, do func(context.Context, *pgx.Conn) error) error {
	return conn.Raw(func(c any) error { return do(ctx, c.(*session).Conn.Conn()) })
}

// bookkeeping marks a context: what is executed with it changes the history and is no statement of a
// migration's file.
type bookkeeping struct{}

func asBookkeeping(ctx context.Context) context.Context {
	return context.WithValue(ctx, bookkeeping{}, true)
}

// session is a connection whose statements, those of transactions included, all pass through send: what
// `up` executes and what `plan` prints is the same.
type session struct {
	*stdlib.Conn
	run  *run
	inTx bool
}

func (s *session) ExecContext(
	ctx context.Context, query string, named []driver.NamedValue,
) (driver.Result, error) {
	args := make([]any, len(named))
	for i, value := range named {
		args[i] = value.Value
	}
	if ctx.Value(bookkeeping{}) != nil {
		return s.send(ctx, 0, query, args...)
	}
	s.run.file.statement++
	s.run.file.outsideTx = !s.inTx
	if isBackfill(query) {
		return s.backfill(ctx, query)
	}
	return s.send(ctx, s.run.file.statement, query, args...)
}

// BeginTx limits the lock waits of the transaction: while a statement queues for a strong lock, all
// readers and writers queue behind it.
func (s *session) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	s.inTx = true
	if _, err := s.send(ctx, 0, "BEGIN"); err != nil {
		s.inTx = false
		return nil, err
	}
	tx := transaction{session: s, ctx: ctx}
	limit := "SET LOCAL lock_timeout = '" + serverTime(s.run.opts.LockTimeout) + "'"
	if _, err := s.send(ctx, 0, limit); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return tx, nil
}

// serverTime is a duration as the server reads it, rounded up: 0 means no limit there.
func serverTime(d time.Duration) string {
	ms := d.Milliseconds()
	if d%time.Millisecond > 0 {
		ms++
	}
	return fmt.Sprintf("%dms", min(ms, math.MaxInt32))
}

// indexWaitLimit is the server's own limit where the watcher cannot see.
func (m *Migrator) indexWaitLimit() string {
	if m.opts.IndexWait == 0 {
		return "0"
	}
	return serverTime(m.opts.IndexWait + 2*time.Second)
}

// send executes a statement, or adds it to the script. number counts a file's own statements from 1;
// those of the transaction and of the history have 0.
func (s *session) send(ctx context.Context, number int, query string, args ...any) (driver.Result, error) {
	if s.run.script != nil {
		s.run.script.add(s, number, query, args)
		return driver.ResultNoRows, nil
	}
	if s.Conn.Conn().IsClosed() {
		return nil, driver.ErrBadConn
	}
	var wait time.Duration // within a transaction lock_timeout is the limit
	if !s.inTx {
		wait = s.run.opts.IndexWait
	}
	watched, stop := s.run.watch(ctx, s.Conn.Conn().PgConn().PID(), wait)
	tag, err := s.Conn.Conn().Exec(watched, query, args...)
	stop()
	gaveUp, ok := errors.AsType[*Error](context.Cause(watched))
	if !ok && !s.inTx && connect.SQLState(err) == lockNotAvailable {
		gaveUp, ok = &Error{Kind: LockWait, Message: "blocked for more than " + wait.String()}, true
	}
	if ok && err != nil {
		gaveUp.Err, gaveUp.SQLState = err, connect.SQLState(err)
		err = gaveUp
	}
	return driver.RowsAffected(tag.RowsAffected()), err
}

// transaction commits with the context it was begun with. A roll-back has to go through when that
// context has ended, too.
type transaction struct {
	session *session
	ctx     context.Context
}

func (t transaction) Commit() error {
	defer func() { t.session.inTx = false }()
	_, err := t.session.send(t.ctx, 0, "COMMIT")
	return err
}

func (t transaction) Rollback() error {
	defer func() { t.session.inTx = false }()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.ctx), time.Second)
	defer cancel()
	_, err := t.session.send(ctx, 0, "ROLLBACK")
	return err
}

var _ interface {
	driver.ExecerContext
	driver.ConnBeginTx
} = (*session)(nil)

var _ driver.Tx = transaction{}
