package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/internal/connect"
)

// sessionSettings hold for every connection, whatever the role or the database sets.
// client_connection_check_interval lets the server notice that a killed runner is gone, stop its statement
// and free the run lock. With row_security off a statement fails where policies would hide rows from it.
// With Citus, a transaction's lock_timeout holds on all nodes, and triggers may be made: ours change only their own
// row.
const sessionSettings = `
SELECT set_config(name, value, false)
FROM (VALUES
    ('application_name', 'taskmigrate'),
    ('statement_timeout', '0'),
    ('lock_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    ('transaction_timeout', '0'),
    ('client_connection_check_interval', '2s'),
    ('client_min_messages', 'notice'),
    ('default_transaction_isolation', 'read committed'),
    ('default_transaction_deferrable', 'off'),
    ('default_tablespace', ''),
    ('default_table_access_method', 'heap'),
    ('TimeZone', 'UTC'),
    ('DateStyle', 'ISO'),
    ('quote_all_identifiers', 'off'),
    ('standard_conforming_strings', 'on'),
    ('row_security', 'off'),
    ('exit_on_error', 'off'),
    ('citus.propagate_set_commands', 'local'),
    ('citus.enable_unsafe_triggers', 'on')
) AS wanted (name, value)
JOIN pg_settings USING (name)`

// connect opens a connection for reading, within Options.Wait if the server is not there yet, and returns
// the Migrator that has found its home there.
func (m *Migrator) connect(ctx context.Context) (*pgx.Conn, *Migrator, error) {
	deadline := time.Now().Add(m.opts.Wait)
	for said := false; ; said = true {
		var conn *pgx.Conn
		err := withSlot(ctx, func() (err error) {
			conn, err = pgx.ConnectConfig(ctx, m.config)
			return err
		})
		if err == nil {
			settled := *m
			if err = m.refusePooler(ctx, conn); err == nil {
				settled.home, err = m.settle(ctx, conn)
			}
			if err == nil {
				err = refuseWorker(ctx, conn)
			}
			if err != nil {
				closeConn(conn)
				return nil, nil, asError(ctx, err)
			}
			return conn, &settled, nil
		}
		if !notYetThere(err) || time.Now().After(deadline) || ctx.Err() != nil {
			return nil, nil, m.connectError(ctx, err)
		}
		if !said {
			m.opts.Log.Info("waiting for the server", "address", connect.Address(m.config), "for_at_most", m.opts.Wait)
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return nil, nil, m.connectError(ctx, err)
		}
	}
}

// freeSlot is how long a connection that was closed here may still count against a CONNECTION LIMIT.
const freeSlot = 5 * time.Second

// withSlot tries again to connect while there are too many connections: one may be an earlier one of this run.
func withSlot(ctx context.Context, attempt func() error) error {
	deadline := time.Now().Add(freeSlot)
	for {
		err := attempt()
		if connect.SQLState(err) != "53300" || time.Now().After(deadline) || pause(ctx, 100*time.Millisecond) != nil {
			return err
		}
	}
}

// notYetThere tells whether the server may still come up. If not, it has refused.
func notYetThere(err error) bool {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code == "57P03" || server.Code == "53300" // starting up or shutting down, too many connections
	}
	return true
}

// connectError names the address, the user and the database, and never the password.
func (m *Migrator) connectError(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return asError(ctx, err)
	}
	return described(connect.DescribeAttempt(m.config, err), err)
}

func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
