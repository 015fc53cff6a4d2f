package migrate

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// refusePooler returns an error if statements of one connection may reach different backends, as
// through PgBouncer in transaction or statement mode: the run lock would be worth nothing, and settings
// would leak to other clients. It changes nothing on the server.
//
// A pooler invents the process id that it sends to a client at the start. If it is not the backend's, the
// connection has to pass a trial: a second connection begins a transaction, and so keeps a backend to
// itself. Each of the two must go on seeing its own backend, and never the other's.
func (m *Migrator) refusePooler(ctx context.Context, conn *pgx.Conn) error {
	own, err := backendPID(ctx, conn)
	if err != nil || own == conn.PgConn().PID() {
		return err
	}
	const rounds = 3
	for range rounds {
		other, err := pgx.ConnectConfig(ctx, m.config)
		if err != nil {
			return err
		}
		shared, err := changesBackend(ctx, conn, other, own)
		closeConn(other)
		if err != nil {
			return err
		}
		if shared {
			return &Error{
				Message: "the connection goes through a pooler in transaction mode; nothing was done",
				Hint:    "connect to PostgreSQL itself, or to a pool in session mode: the session holds the run lock",
			}
		}
	}
	return nil
}

func changesBackend(ctx context.Context, conn, other *pgx.Conn, own uint32) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := other.PgConn().Exec(ctx, "BEGIN READ ONLY").ReadAll(); err != nil {
		// Statement mode refuses transactions. A full pool in session mode has no backend to give.
		return ctx.Err() == nil, nil
	}
	theirs, err := backendPID(ctx, other)
	if err != nil || theirs == own {
		return true, err
	}
	again, err := backendPID(ctx, conn)
	return again != own, err
}

// backendPID asks by the simple protocol: a pooler may mix up prepared statements.
func backendPID(ctx context.Context, conn *pgx.Conn) (uint32, error) {
	var pid uint32
	err := conn.QueryRow(ctx, "SELECT pg_catalog.pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid, err
}

// refuseReadOnly returns an error where nothing can be written. Somebody may have frozen the database on purpose, so
// that a run does not overrule the setting.
func refuseReadOnly(ctx context.Context, conn *pgx.Conn) error {
	var standby, readOnly bool
	err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'`).
		Scan(&standby, &readOnly)
	switch {
	case err != nil:
		return asError(ctx, err)
	case standby:
		return &Error{
			SQLState: readOnlyTransaction, Message: "this server is a standby, which can only be read; nothing was changed",
			Hint: "connect to the primary; of several hosts in a URL target_session_attrs=read-write takes that one",
		}
	case readOnly:
		return &Error{
			SQLState: readOnlyTransaction,
			Message:  "default_transaction_read_only is on for this role or database; nothing was changed",
			Hint: "unless somebody has frozen the database on purpose, run it with " +
				"PGOPTIONS='-c default_transaction_read_only=off' in the environment",
		}
	}
	return nil
}

const readOnlyTransaction = "25006"
