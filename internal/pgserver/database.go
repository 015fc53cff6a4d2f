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
	"github.com/jackc/pgx/v5/pgxpool"
)

// CreateDatabase creates an empty database in UTF-8. drop removes it again, whoever is still
// connected; a second call does nothing.
func (s *Server) CreateDatabase(ctx context.Context) (url string, drop func() error, err error) {
	// Not template1: it may have objects, and it cannot be copied while somebody is connected to it. And only
	// template0 allows another encoding than the server was set up with.
	return s.create(ctx, "TEMPLATE template0 ENCODING 'UTF8'")
}

// CloneDatabase creates a database as a copy of another one on the server, to which nobody may be
// connected. drop is as for [Server.CreateDatabase].
func (s *Server) CloneDatabase(ctx context.Context, template string) (url string, drop func() error, err error) {
	// With the server's default strategy (from 15 on WAL_LOG). Where the server does not wait for the disk, both
	// strategies take 20 ms for a migrated database. Where it does, FILE_COPY takes up to twice as long.
	return s.create(ctx, "TEMPLATE "+quote(template))
}

func (s *Server) create(ctx context.Context, how string) (url string, drop func() error, err error) {
	name := databaseName(time.Now())
	url, err = s.DatabaseURL(name)
	if err != nil {
		return "", nil, fmt.Errorf("pgserver: %w", err)
	}
	if err := s.exec(ctx, "CREATE DATABASE "+quote(name)+" "+how); err != nil {
		return "", nil, fmt.Errorf("pgserver: create a database, %s: %w", how, err)
	}
	return url, func() error { return s.dropDatabase(name) }, nil
}

func (s *Server) dropDatabase(name string) error {
	// The test's own context may be over by now.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := s.exec(ctx, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("pgserver: drop database %s: %w", name, err)
	}
	return nil
}

// databaseName returns a new name each time. The name has the second in which it was made.
func databaseName(now time.Time) string {
	return fmt.Sprintf("taskstore_test_%d_%s", now.Unix(), strings.ToLower(rand.Text()))
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// DatabaseURL returns the URL of another database on this server.
func (s *Server) DatabaseURL(name string) (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		// The cause would quote the URL, password and all.
		return "", errors.New("not a URL of the form postgres://user@host/database")
	}
	u.Path = "/" + name
	if query := u.Query(); query.Has("dbname") { // it would win over the path
		query.Del("dbname")
		u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // libpq takes a plus sign for itself
	}
	return u.String(), nil
}

// maintainers bounds the connections that create and drop databases.
const maintainers = 4

// exec runs sql on the maintenance database. It keeps a few connections for that: opening one takes about as long
// as creating a database.
func (s *Server) exec(ctx context.Context, sql string) error {
	s.once.Do(func() {
		config, err := pgxpool.ParseConfig(s.URL)
		if err == nil {
			config.MaxConns, config.MinConns = maintainers, 0
			s.maintenance, err = pgxpool.NewWithConfig(context.Background(), config)
		}
		s.err = err
	})
	if s.err != nil {
		return s.err
	}
	_, err := s.maintenance.Exec(ctx, sql)
	return err
}
