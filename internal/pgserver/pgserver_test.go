//go:build unix

package pgserver

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestNamedServerIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	owner := anyServer(t)
	for _, force := range []string{"", "url"} {
		srv, err := start(t.Context(), config{force: force, url: owner.URL}, newOptions(nil))
		if err != nil {
			t.Fatal(err)
		}
		if srv.Source != "url" || srv.URL != owner.URL {
			t.Errorf("got %s %s", srv.Source, srv.URL)
		}
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		connect(t, owner.URL) // Close has left it alone
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for name, c := range map[string]struct {
		config config
		want   string
	}{
		"no such source":       {config{force: "podman"}, "it can be url, local or docker"},
		"no URL":               {config{force: "url"}, "needs TASKSTORE_TEST_DATABASE_URL"},
		"nobody there":         {config{url: "postgres://me:" + secret + "@127.0.0.1:1/x"}, "url server: "},
		"not a URL":            {config{url: "host=/tmp password=" + secret}, "not a URL of the form"},
		"broken URL":           {config{url: "postgres://me:" + secret + "@[::1/x"}, "not a URL of the form"},
		"port is no number":    {config{url: "postgres://me:" + secret + "@127.0.0.1/x?port=no"}, "url server: "},
		"binaries are not so":  {config{force: "local", bindir: t.TempDir()}, "holds no initdb, pg_ctl and postgres"},
		"a directory by name":  {config{bindir: t.TempDir()}, "holds no initdb, pg_ctl and postgres"},
		"a URL beats binaries": {config{url: "postgres://127.0.0.1:1/x", bindir: t.TempDir()}, "url server: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := start(t.Context(), c.config, newOptions(nil))
			if err == nil {
				_ = srv.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q; want %q in it", err, c.want)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the password is in %q", err)
			}
		})
	}
}

// On a machine without PostgreSQL and Docker, the error is one line with the command that installs what is missing.
func TestBareMachineIsToldWhatToInstall(t *testing.T) {
	t.Parallel()
	for force, want := range map[string]string{
		"": "no PostgreSQL server here and no Docker", "local": "server binaries: not found",
	} {
		_, _, line := spawn(t, "bare", "PATH=", "DOCKER_HOST=unix:///nowhere", "TASKSTORE_TEST_DATABASE_URL=",
			"TASKSTORE_TEST_POSTGRES_BINDIR=", "TASKSTORE_TEST_POSTGRES="+force)
		got := line()
		installs := strings.Contains(got, "install -y postgresql") || strings.Contains(got, "brew install")
		if !strings.Contains(got, want) || !installs {
			t.Errorf("%q: got %s", force, got)
		}
		if strings.Contains(got, `\n`) {
			t.Errorf("more than a line: %s", got)
		}
	}
}

func TestInstallCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		goos string
		uid  int
		want string
	}{
		{"darwin", 501, "brew install postgresql@17"},
		{"linux", 1000, "sudo apt-get update && sudo apt-get install -y postgresql"},
		{"linux", 0, "apt-get update && apt-get install -y postgresql"},
	} {
		if got := installCommand(c.goos, c.uid); got != c.want {
			t.Errorf("%s, user %d: %q; want %q", c.goos, c.uid, got, c.want)
		}
	}
}

func TestCreateDatabase(t *testing.T) {
	t.Parallel()
	srv := anyServer(t)
	dbURL, drop, err := srv.CreateDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, dbURL)
	if got := show(t, conn, "server_encoding"); got != "UTF8" {
		t.Errorf("encoding %s", got)
	}
	var name string
	var tables int
	err = conn.QueryRow(t.Context(), `
		SELECT current_database(), (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')`).Scan(&name, &tables)
	if err != nil || tables != 0 {
		t.Errorf("%d tables in a new database, %v", tables, err)
	}
	if u, _ := url.Parse(srv.URL); u.Path == "/"+name {
		t.Errorf("it is the maintenance database %s", name)
	}
	for range 2 { // with a session open, and again when it is gone
		if err := drop(); err != nil {
			t.Fatal(err)
		}
	}
	var there bool
	const exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	err = connect(t, srv.URL).QueryRow(t.Context(), exists, name).Scan(&there)
	if err != nil || there {
		t.Errorf("%s is still there: %v, %v", name, there, err)
	}
}

func TestDatabaseURLNamesTheDatabase(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"postgres://u:p@h:1/one":                     "two words",
		"postgresql://u:p@h:1":                       "two words",
		"postgres://u@h/one?dbname=other":            "two words",
		"postgres://u@h/one?sslmode=disable&dbname=": "two words",
	} {
		got, err := (&Server{URL: base}).DatabaseURL(want)
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		config, err := pgx.ParseConfig(got)
		if err != nil || config.Database != want || config.Host != "h" {
			t.Errorf("%s became %s: %v", base, got, err)
		}
	}
}
