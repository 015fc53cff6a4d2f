// Package connect reads a connection string, and says what came of it, without a password in any text. The commands
// share it.
package connect

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

// timeout bounds one attempt to connect, unless the connection string has a limit of its own.
const timeout = 10 * time.Second

// Malformed says why a connection string cannot be read. It never repeats the string: where it is malformed, nobody
// can tell which part of it is the password.
type Malformed struct{ Message, Hint string }

func (e *Malformed) Error() string { return e.Message }

// Parse reads a connection string, as services write them.
func Parse(connString string) (*pgxpool.Config, error) {
	if misplacedAt(connString) {
		return nil, &Malformed{
			Message: "the database URL has an @ that does not end its user and password",
			Hint:    "write an @ within a user, a password or a parameter as %40, and a / as %2F",
		}
	}
	config, err := pgxpool.ParseConfig(connString)
	if err != nil {
		return nil, &Malformed{
			Message: "the database URL or a PG* variable cannot be understood" + missingFile(err),
			Hint:    "expected postgres://user@host:5432/database?sslmode=prefer or host=… dbname=…",
		}
	}
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"           // what Go sends, whatever the database stores
	config.ConnConfig.RuntimeParams["standard_conforming_strings"] = "on" // pgx needs it, and PgBouncer lets it through
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = timeout
	}
	return config, nil
}

// cancelGrace is how long a cancelled statement may take to end before its connection is cut.
const cancelGrace = 1500 * time.Millisecond

// CancelOnServer has a context that ends stop its statement on the server, too. The connection stays usable.
func CancelOnServer(config *pgx.ConnConfig) {
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelGrace}
	}
}

// misplacedAt tells of a URL from which pgx could read a part of the password as a host, a database or a
// parameter, all of which are printed.
func misplacedAt(connString string) bool {
	_, rest, isURL := strings.Cut(connString, "://")
	if !isURL || !strings.HasPrefix(connString, "postgres") {
		return false
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?"); end >= 0 {
		authority = rest[:end]
	}
	if authority == "" { // postgres:///database?user=me@example.com
		return false
	}
	return strings.Count(rest, "@") > 1 || strings.Count(rest, "@") != strings.Count(authority, "@")
}

// missingFile names the file or the service that a connection string leads to and that is not there.
func missingFile(err error) string {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return ": " + file.Error()
	}
	if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		cause := parse.Unwrap()
		if cause != nil && (strings.HasPrefix(cause.Error(), "failed to read service file: ") ||
			strings.HasPrefix(cause.Error(), "unable to find service: ")) {
			return ": " + cause.Error()
		}
	}
	return ""
}
