// Package upgrade takes migrated databases to another server: by dump and restore, and by pg_upgrade. Every
// definition is then parsed again, and a server may put it into other words than the one before.
package upgrade

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// server is a private server of some version.
type server struct {
	*pgserver.Server
	version int // 15
}

// start starts a server with the programs in a directory; empty: those that this machine has.
func start(t *testing.T, bindir string) server {
	t.Helper()
	srv, err := pgserver.StartLocal(t.Context(), pgserver.Bindir(bindir))
	if errors.Is(err, pgserver.ErrNone) {
		t.Skipf("NOT TESTED: databases go from server to server here, which needs their programs: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	return server{srv, dbtest.Value[int](t, srv.URL, `SELECT current_setting('server_version_num')::int / 10000`)}
}

// startAll starts a server for each directory of programs in TASKSTORE_TEST_POSTGRES_BINDIRS, a list like PATH with one
// directory a version, the oldest first. Without that it starts the one that this machine has.
func startAll(t *testing.T) []server {
	t.Helper()
	dirs := filepath.SplitList(os.Getenv("TASKSTORE_TEST_POSTGRES_BINDIRS"))
	if len(dirs) == 0 {
		dirs = []string{""}
	}
	var all []server
	for _, dir := range dirs {
		all = append(all, start(t, dir))
	}
	slices.SortFunc(all, func(a, b server) int { return a.version - b.version })
	return all
}

// has tells whether these programs stand beside the server: some packages have the server only.
func (s server) has(programs ...string) bool {
	return !slices.ContainsFunc(programs, func(name string) bool {
		_, err := exec.LookPath(filepath.Join(s.Local.Bindir, name))
		return err != nil
	})
}

// must runs one of the server's programs.
func must(t *testing.T, local pgserver.Local, program string, args ...string) {
	t.Helper()
	if out, err := local.Command(t.Context(), program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s in %s: %v: %s", program, local.Bindir, err, out)
	}
}

// database makes an empty database.
func (s server) database(t *testing.T) string {
	t.Helper()
	url, _, err := s.CreateDatabase(t.Context()) // it goes with the server
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// passed are errors of a restore that people let pass, because PostgreSQL itself is their cause: a newer pg_dump begins
// with a setting that an older server does not have, and the minor releases of November 2026 give each column an
// option that earlier ones do not know.
var passed = regexp.MustCompile(
	`ERROR:  (unrecognized configuration parameter "transaction_timeout"|` + newOption + `)`)

const newOption = `unrecognized parameter "pg_attver"`

// setsOption tells whether this server gives columns that option.
func (s server) setsOption(t *testing.T) bool {
	t.Helper()
	url := s.database(t)
	dbtest.Exec(t, url, `CREATE TABLE t (c integer)`)
	return dbtest.Value[bool](t, url,
		`SELECT attoptions IS NOT NULL FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'`)
}

// restore dumps a database of another server and reads the dump into a new one of this server. tools has the programs.
func (s server) restore(t *testing.T, tools server, url string, options ...string) string {
	t.Helper()
	target := s.database(t)
	var said bytes.Buffer
	dump := exec.CommandContext(t.Context(),
		filepath.Join(tools.Local.Bindir, "pg_dump"), append(options, "--dbname", url)...)
	dump.Stderr = &said
	text, err := dump.Output()
	if err != nil {
		t.Fatalf("pg_dump of version %d: %v: %s", tools.version, err, said.String())
	}
	psql := exec.CommandContext(t.Context(),
		filepath.Join(tools.Local.Bindir, "psql"), "--no-psqlrc", "--quiet", "--output", os.DevNull, "--dbname", target)
	psql.Stdin = bytes.NewReader(text)
	out, err := psql.CombinedOutput()
	if left := passed.ReplaceAllString(string(out), ""); err != nil || strings.Contains(left, "ERROR") {
		t.Fatalf("psql: %v: %s", err, out)
	}
	return target
}
