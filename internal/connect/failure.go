package connect

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Failure is an error of the server or of the network, as a command reports it.
type Failure struct {
	Message  string // one line
	SQLState string // the server's code; empty: the server said nothing
	Hint     string
}

// Describe says what is wrong.
func Describe(err error) Failure {
	f := Failure{Message: OneLine(err.Error())}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		f.SQLState = server.Code
		f.Message = fmt.Sprintf("%s (SQLSTATE %s)", OneLine(server.Message), server.Code)
		f.Hint = OneLine(server.Hint)
		if server.Detail != "" { // not all of them end like a sentence
			f.Hint = OneLine(strings.TrimSuffix(server.Detail, ".") + ". " + server.Hint)
		}
		if f.Hint == "" && f.SQLState == "42501" {
			f.Hint = "schema/roles.sql has a role for each purpose, with the rights that it takes"
		}
	} else if lost(err) {
		f.Message = "the connection to the server was lost: " + OneLine(rootCause(err).Error())
	}
	return f
}

// DescribeAttempt says why nothing came of connecting: with the address, the user and the database, and never the
// password.
func DescribeAttempt(config *pgx.ConnConfig, err error) Failure {
	f := Describe(err)
	switch {
	case len(hosts(config)) > 1:
		f.Message = strings.Join(attempts(err), "; ")
	case f.SQLState == "":
		f.Message = OneLine(rootCause(err).Error())
	}
	f.Message = fmt.Sprintf("cannot connect to %s as %q: %s", Address(config), config.User, f.Message)
	if f.Hint == "" && config.ConnString() == "" && strings.HasPrefix(config.Host, "/") {
		f.Hint = "no database URL was given: DATABASE_URL is the place for one, such as postgres://user@host:5432/database"
	}
	return f
}

// Address says where the database is.
func Address(config *pgx.ConnConfig) string {
	return fmt.Sprintf("%s database %q", strings.Join(hosts(config), ", "), config.Database)
}

// hosts lists where the server may be, each once: pgconn keeps a host for each way to connect to it.
func hosts(config *pgx.ConnConfig) []string {
	list := []string{hostName(config.Host, config.Port)}
	for _, other := range config.Fallbacks {
		if name := hostName(other.Host, other.Port); !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

func hostName(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return fmt.Sprintf("%s/.s.PGSQL.%d", host, port)
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

// attempts lists what came of each address that pgconn tried. Each text begins with the address.
func attempts(err error) []string {
	if joined, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err); ok {
		var list []string
		for _, attempt := range joined.Unwrap() {
			if text := OneLine(attempt.Error()); !slices.Contains(list, text) {
				list = append(list, text)
			}
		}
		return list
	}
	return []string{OneLine(err.Error())}
}

// rootCause follows the first branch of a joined error, as pgconn makes one for each address it tried.
func rootCause(err error) error {
	for {
		var cause error
		switch e := err.(type) { //nolint:errorlint // walks the chain itself
		case *net.OpError:
			return e.Err
		case interface{ Unwrap() error }:
			cause = e.Unwrap()
		case interface{ Unwrap() []error }:
			cause = e.Unwrap()[0]
		}
		if cause == nil {
			return err
		}
		err = cause
	}
}

// SQLState is the server's code for an error, empty if the error is not the server's.
func SQLState(err error) string {
	if server, ok := errors.AsType[*pgconn.PgError](err); ok {
		return server.Code
	}
	return ""
}

func lost(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, pgconn.ErrConnClosed)
}

// OneLine puts a text into one line.
func OneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
