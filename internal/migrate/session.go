package migrate

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
)

// cancelGrace is how long a cancelled statement may take to end before its connection is cut.
const cancelGrace = 1500 * time.Millisecond

// connector opens the sessions of a run.
type connector struct {
	driver.Connector
	run *run
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	config := c.run.config.Copy()
	config.OnNotice = c.run.notice
	// A cancelled context stops the statement on the server too, and the connection stays usable to
	// roll back and to free the run lock.
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelGrace}
	}
	conn, err := stdlib.GetConnector(*config, stdlib.OptionAfterConnect(configureSession)).Connect(ctx)
	if err != nil {
		return nil, c.run.connectError(ctx, err)
	}
	return &session{Conn: conn.(*stdlib.Conn), run: c.run}, nil
}

// session is a connection whose statements, transactions included, all pass through send: what `up`
// executes and what `plan` prints is the same.
type session struct {
	*stdlib.Conn
	run  *run
	inTx bool
}

func (s *session) ExecContext(ctx context.Context, query string, named []driver.NamedValue) (driver.Result, error) {
	args := make([]any, len(named))
	for i, value := range named {
		args[i] = value.Value
	}
	if s.run.keeping {
		return s.send(ctx, 0, query, args...)
	}
	s.run.next()
	s.run.statement++
	if s.run.statement == 1 && !s.inTx && s.run.plan == nil {
		s.run.patient = true
		if err := s.Conn.Conn().QueryRow(ctx, indexState).Scan(&s.run.indexes); err != nil {
			return nil, err
		}
	}
	return s.send(ctx, s.run.statement, query, args...)
}

// BeginTx limits the lock waits of the transaction: while a statement queues for a strong lock, all
// readers and writers queue behind it.
func (s *session) BeginTx(ctx context.Context, _ driver.TxOptions) (driver.Tx, error) {
	if !s.run.keeping {
		s.run.next()
	}
	s.inTx = true
	if _, err := s.send(ctx, 0, "BEGIN"); err != nil {
		s.inTx = false
		return nil, err
	}
	tx := transaction{session: s, ctx: ctx}
	limit := fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", s.run.opts.LockTimeout.Milliseconds())
	if _, err := s.send(ctx, 0, limit); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return tx, nil
}

// send executes a statement, or records it. number counts a file's own statements from 1; those of the
// transaction and of the history have 0.
func (s *session) send(ctx context.Context, number int, query string, args ...any) (driver.Result, error) {
	if s.run.plan != nil {
		s.run.plan.add(s, number, query, args)
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
	if gaveUp, ok := errors.AsType[*Error](context.Cause(watched)); ok && err != nil {
		gaveUp.Err = err
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
