package migrate

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// What the role or the database sets is not what a migration runs with.
func TestSettingsOfTheDatabaseChangeNothing(t *testing.T) {
	t.Parallel()
	server := dbtest.New(t)
	hostile := map[string]string{
		"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on",
		"statement_timeout": "1min", "lock_timeout": "1min", "idle_in_transaction_session_timeout": "1min",
		"idle_session_timeout": "1min", "TimeZone": "Asia/Kolkata", "DateStyle": "SQL, DMY",
		"quote_all_identifiers": "on", "standard_conforming_strings": "off", "row_security": "on",
		"client_min_messages": "error", "exit_on_error": "on",
	}
	const hasTransactionTimeout = `SELECT EXISTS (SELECT FROM pg_settings WHERE name = 'transaction_timeout')`
	if dbtest.Value[bool](t, server, hasTransactionTimeout) {
		hostile["transaction_timeout"] = "1min"
	}
	var names []string
	for name, value := range hostile {
		dbtest.Exec(t, server, fmt.Sprintf(`ALTER DATABASE %s SET %s = '%s'`, dbtest.Name(t, server), name, value))
		names = append(names, "'"+name+"'")
	}
	settings := `SELECT name, setting FROM pg_settings WHERE name IN (` + strings.Join(names, ", ") + `)`
	files := fstest.MapFS{
		"00001_a.sql": {Data: []byte("-- +goose Up\nCREATE TABLE tasks AS " + settings + ";")},
		"00002_b.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\nINSERT INTO tasks " + settings + ";")},
	}
	b := setupWith(t, server, func(o *Options) {
		o.FS, o.LockTimeout, o.IndexWait = files, 900*time.Microsecond, time.Minute
	})
	if _, err := b.Up(t.Context(), Newest); err != nil {
		t.Fatal(err)
	}
	got := dbtest.Value[string](t, server, `
SELECT string_agg(DISTINCT name || ' = ' || setting, E'\n' ORDER BY name || ' = ' || setting) FROM tasks
WHERE name <> 'transaction_timeout'`)
	const want = `DateStyle = ISO, DMY
TimeZone = UTC
client_min_messages = notice
default_transaction_deferrable = off
default_transaction_isolation = read committed
exit_on_error = off
idle_in_transaction_session_timeout = 0
idle_session_timeout = 0
lock_timeout = 1
lock_timeout = 62000
quote_all_identifiers = off
row_security = off
standard_conforming_strings = on
statement_timeout = 0`
	if got != want {
		t.Errorf("the migrations ran with\n%s\nwant\n%s", got, want)
	}
	const others = `SELECT count(*) FROM tasks WHERE name = 'transaction_timeout' AND setting <> '0'`
	if n := dbtest.Value[int](t, server, others); n > 0 {
		t.Error("transaction_timeout was in force")
	}
}

func TestALimitIsNeverRoundedToNone(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]string{
		0: "0ms", 1: "1ms", 900 * time.Microsecond: "1ms", time.Millisecond: "1ms",
		1500 * time.Microsecond: "2ms", 2 * time.Second: "2000ms", 1000 * time.Hour: "2147483647ms",
	} {
		if got := serverTime(given); got != want {
			t.Errorf("%s is %s, want %s", given, got, want)
		}
	}
}

// Those who queued behind an attempt get at least as much time as it took from them.
func TestARetryPausesAtLeastAsLongAsItWaited(t *testing.T) {
	t.Parallel()
	for retry := range 100 {
		for _, waited := range []time.Duration{0, time.Millisecond, 2 * time.Second, time.Minute} {
			if pause := backOff(retry, waited); pause < waited || pause < 100*time.Millisecond {
				t.Errorf("retry %d after %s pauses %s", retry, waited, pause)
			}
		}
	}
}

// A role that may have one connection has no watcher. That is said, and the limit holds.
func TestWithoutAWatcherTheLimitsHold(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	role := "single_" + strings.ToLower(rand.Text()[:8])
	dbtest.Exec(t, b.url, `CREATE ROLE `+role+` LOGIN PASSWORD '`+role+`' CONNECTION LIMIT 1`)
	t.Cleanup(func() {
		dbtest.ExecAtEnd(t, b.url,
			`REASSIGN OWNED BY `+role+` TO CURRENT_USER`, `DROP OWNED BY `+role, `DROP ROLE `+role)
	})
	dbtest.Exec(t, b.url, `GRANT CREATE ON SCHEMA public TO `+role,
		`ALTER TABLE tasks OWNER TO `+role, `ALTER TABLE tasks_goose_version OWNER TO `+role)
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, role)
	single := setupWith(t, u.String(), func(o *Options) { o.IndexWait = time.Second })
	if _, err := single.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	release := b.open(t, pgx.ReadCommitted, `LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE`)
	defer release()
	_, err = single.Up(t.Context(), Newest)
	if failure := wantKind(t, err, LockWait); failure.File != "00003_add_idx_task.sql" {
		t.Errorf("%+v", failure)
	}
	single.says(t, "cannot see what the run waits for", "53300")
	release()
	single.finish(t)
}

func TestACommitThatWaitsForAStandbyIsSaid(t *testing.T) {
	t.Parallel()
	server := ownServer(t, pgserver.Setting("synchronous_standby_names", "nobody"))
	b := setupWith(t, server.URL, func(*Options) {})
	done := make(chan error, 1)
	go func() {
		_, err := b.Up(t.Context(), Newest)
		done <- err
	}()
	b.says(t, "a commit waits for a synchronous standby")
	dbtest.Exec(t, b.url, `ALTER SYSTEM SET synchronous_standby_names = ''`, `SELECT pg_reload_conf()`)
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.finish(t)
}

// A network that carries nothing any more, and closes nothing, is said.
func TestASilentNetworkIsSaid(t *testing.T) {
	t.Parallel()
	b := adopted(t, func(*Options) {})
	if _, err := b.Up(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	address, cut := silentProxy(t, b.url)
	through := setupWith(t, address, func(*Options) {})
	release := b.open(t, pgx.ReadCommitted, `LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE`)
	defer release()
	done := make(chan error, 1)
	go func() {
		_, err := through.Up(t.Context(), Newest)
		done <- err
	}()
	through.says(t, "msg=blocked")
	cut()
	through.says(t, "cannot see what the run waits for")
	reader := setupWith(t, address, func(*Options) {})
	_, _, err := reader.Status(t.Context()) // nobody answers there
	_ = wantKind(t, err, Failed)
	select {
	case err := <-done:
		t.Errorf("the run ended with %v", err)
	default:
	}
}

// silentProxy leads to the server of a URL until it is cut. Then it reads on and passes nothing on.
func silentProxy(t *testing.T, to string) (address string, cut func()) {
	t.Helper()
	config, err := pgx.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var silent atomic.Bool
	carry := func(to, from net.Conn) {
		buffer := make([]byte, 4096)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				return
			}
			if !silent.Load() {
				_, _ = to.Write(buffer[:n])
			}
		}
	}
	network, server := pgNetwork(config)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			backend, err := net.Dial(network, server)
			if err != nil {
				_ = client.Close()
				continue
			}
			t.Cleanup(func() { _ = client.Close(); _ = backend.Close() })
			go carry(client, backend)
			go carry(backend, client)
		}
	}()
	t.Cleanup(func() { _ = listener.Close() })
	through := url.URL{
		Scheme: "postgres", User: url.UserPassword(config.User, config.Password), Host: listener.Addr().String(),
		Path: config.Database, RawQuery: "sslmode=disable",
	}
	return through.String(), func() { silent.Store(true) }
}

func pgNetwork(config *pgx.ConnConfig) (network, address string) {
	if strings.HasPrefix(config.Host, "/") {
		return "unix", fmt.Sprintf("%s/.s.PGSQL.%d", config.Host, config.Port)
	}
	return "tcp", net.JoinHostPort(config.Host, fmt.Sprint(config.Port))
}
