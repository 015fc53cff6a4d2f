package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// CreateDatabase creates an empty database. drop removes it again, whoever is still connected; a
// second call does nothing.
func (s *Server) CreateDatabase(ctx context.Context) (url string, drop func() error, err error) {
	name := "taskstore_test_" + strings.ToLower(rand.Text())
	if err := s.exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", nil, fmt.Errorf("pgserver: create a database: %w", err)
	}
	drop = func() error {
		// The test's own context may be over by now.
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		err := s.exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		if err != nil {
			return fmt.Errorf("pgserver: drop database %s: %w", name, err)
		}
		return nil
	}
	url, err = s.DatabaseURL(name)
	if err != nil {
		return "", nil, errors.Join(err, drop())
	}
	return url, drop, nil
}

// DatabaseURL returns the URL of another database on this server.
func (s *Server) DatabaseURL(name string) (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The cause would quote the URL, password and all.
		return "", errors.New("not a URL of the form postgres://user@host/database")
	}
	u.Path = "/" + name
	query := u.Query()
	query.Del("dbname") // would win over the path
	u.RawQuery = query.Encode()
	return u.String(), nil
}

func (s *Server) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.URL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}
