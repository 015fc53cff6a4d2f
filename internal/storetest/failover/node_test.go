//go:build unix

package failover

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
	"github.com/tasklane/tasks/internal/pgserver"
)

// node is a server: a data directory, and the port that its socket's name ends with. The nodes of a test lie in one
// directory, which goes away with the test binary, and with all servers in it.
type node struct {
	t         *testing.T
	dir, data string
	port      string
	password  string
	local     pgserver.Local
}

// startPrimary starts a server with a migrated database, or skips the test where that cannot be.
func startPrimary(t *testing.T, opts ...pgserver.Option) *node {
	t.Helper()
	opts = append([]pgserver.Option{
		// What pg_rewind needs.
		pgserver.Setting("full_page_writes", "on"),
		pgserver.Setting("wal_log_hints", "on"),
		pgserver.Setting("wal_keep_size", "256MB"),
		// A standby notices at once that its primary is back.
		pgserver.Setting("wal_retrieve_retry_interval", "100ms"),
	}, opts...)
	srv, err := pgserver.StartLocal(t.Context(), opts...)
	if errors.Is(err, pgserver.ErrNone) {
		t.Skipf("NOT TESTED: servers are killed and promoted here, which needs their programs on this machine: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
	})
	address, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: srv.Local.Dir, port: "5432", local: srv.Local}
	n.data = filepath.Join(n.dir, "data")
	n.password, _ = address.User.Password()
	if _, err := migrate.Up(t.Context(), srv.URL, migrate.Defaults()); err != nil {
		t.Fatal(err)
	}
	return n
}

// needs skips the test where some of the server's programs are missing: some packages have only the server itself.
func (n *node) needs(programs ...string) {
	n.t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(filepath.Join(n.local.Bindir, name)); err != nil {
			n.t.Skipf("NOT TESTED: a standby needs %s beside the server: %v", name, err)
		}
	}
}

// address is the URL of the first of these nodes that takes writes, with the settings of docs/failover.md.
func address(t *testing.T, nodes ...*node) string {
	t.Helper()
	u, err := url.Parse("postgres://" + inDocs(t, "```\npostgres://", "\n")[0])
	if err != nil {
		t.Fatal(err)
	}
	var hosts, ports []string
	for _, n := range nodes {
		hosts, ports = append(hosts, n.dir), append(ports, n.port)
	}
	query := u.Query()
	query.Set("host", strings.Join(hosts, ","))
	query.Set("port", strings.Join(ports, ","))
	return (&url.URL{Scheme: "postgres", User: url.UserPassword("postgres", nodes[0].password), Path: "/postgres",
		RawQuery: query.Encode()}).String()
}

// inDocs returns each text between begin and end in docs/failover.md.
func inDocs(t *testing.T, begin, end string) (found []string) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/failover.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(text), begin)[1:] {
		inside, _, _ := strings.Cut(part, end)
		found = append(found, inside)
	}
	if len(found) == 0 {
		t.Fatalf("docs/failover.md has no %q", begin)
	}
	return found
}

// connect opens a pool on the first of these nodes that takes writes.
func connect(t *testing.T, configure func(*pgxpool.Config), nodes ...*node) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(address(t, nodes...))
	if err != nil {
		t.Fatal(err)
	}
	configure(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// session opens a connection to this node, whether it takes writes or not, when it accepts one.
func (n *node) session() (conn *pgx.Conn) {
	n.t.Helper()
	config, err := pgxpool.ParseConfig(address(n.t, n))
	if err != nil {
		n.t.Fatal(err)
	}
	config.ConnConfig.ValidateConnect = nil
	eventually(n.t, "a connection", func() bool {
		conn, err = pgx.ConnectConfig(n.t.Context(), config.ConnConfig)
		return err == nil
	})
	return conn
}

// exec runs SQL of the test's own on this node.
func (n *node) exec(sql string, args ...any) {
	n.t.Helper()
	conn := n.session()
	defer conn.Close(context.WithoutCancel(n.t.Context()))
	if _, err := conn.Exec(n.t.Context(), sql, args...); err != nil {
		n.t.Fatalf("%s: %v", sql, err)
	}
}

// ask returns the value that a query of the test's own selects on a node. Where a crash ends its connection, it asks
// again.
func ask[T any](n *node, sql string, args ...any) (v T) {
	n.t.Helper()
	eventually(n.t, sql, func() bool {
		conn := n.session()
		defer conn.Close(context.WithoutCancel(n.t.Context()))
		err := conn.QueryRow(n.t.Context(), sql, args...).Scan(&v)
		if err != nil && !conn.IsClosed() {
			n.t.Fatalf("%s: %v", sql, err)
		}
		return err == nil
	})
	return v
}

// waitFor asks this node again until the query selects true.
func (n *node) waitFor(sql string, args ...any) {
	n.t.Helper()
	eventually(n.t, sql, func() bool { return ask[bool](n, sql, args...) })
}

// eventually asks again until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	dbtest.Eventually(t, func() string {
		if ok() {
			return ""
		}
		return what
	})
}

// run runs one of the server's programs as the server's user.
func (n *node) run(program string, args ...string) error {
	cmd := n.local.Command(context.WithoutCancel(n.t.Context()), program, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return errors.New(program + ": " + err.Error() + ": " + string(out))
	}
	return nil
}

// must fails the test if a step of its own fails.
func (n *node) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// conninfo says where a node is, to the server's programs.
func (n *node) conninfo() string {
	return "host=" + n.dir + " port=" + n.port + " user=postgres dbname=postgres"
}

// newStandby copies the node into a standby of it, which does not run yet.
func (n *node) newStandby() *node {
	n.t.Helper()
	standby := *n
	standby.data, standby.port = filepath.Join(n.dir, "other"), "5433"
	n.must(n.run("pg_basebackup", "-D", standby.data, "-d", n.conninfo(), "-X", "stream", "-c", "fast", "-R", "--no-sync"))
	return &standby
}

// start starts the node, also after a crash whose orphans are still on their way out.
func (n *node) start() {
	n.t.Helper()
	eventually(n.t, "a server that starts; see "+n.data+".log", func() bool {
		return n.run("pg_ctl", "start", "-D", n.data, "-l", n.data+".log", "-w", "-o", "-p "+n.port) == nil
	})
}

// stop ends the node at once, as losing its machine does; its commits are on the disk.
func (n *node) stop() {
	n.t.Helper()
	n.must(n.run("pg_ctl", "stop", "-D", n.data, "-m", "immediate", "-w"))
}

// kill sends SIGKILL to the postmaster, and to all its processes before they can do anything more.
func (n *node) kill() {
	n.t.Helper()
	conn := n.session()
	defer conn.Close(context.WithoutCancel(n.t.Context()))
	rows, err := conn.Query(n.t.Context(), `SELECT pid FROM pg_stat_activity`)
	n.must(err)
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	n.must(err)
	lock := filepath.Join(n.data, "postmaster.pid")
	text, err := os.ReadFile(lock)
	n.must(err)
	first, rest, _ := strings.Cut(string(text), "\n")
	postmaster, err := strconv.Atoi(first)
	n.must(err)
	for _, pid := range append([]int{postmaster}, pids...) {
		if err := syscall.Kill(pid, syscall.SIGKILL); !errors.Is(err, syscall.ESRCH) {
			n.must(err)
		}
	}
	// The next postmaster believes that the killed one lives until its parent has waited for it. In many containers
	// nobody waits. So the file gets a number that no process has. The rest of the file stays: by that the next
	// postmaster finds children of the old one that still live.
	n.must(os.WriteFile(lock, []byte("99999999\n"+rest), 0o600))
}

// promote makes a primary of the standby.
func (n *node) promote() {
	n.t.Helper()
	n.must(n.run("pg_ctl", "promote", "-D", n.data, "-w"))
}

// rejoin turns this node, which was a primary itself and is stopped, into a standby of primary.
func (n *node) rejoin(primary *node) {
	n.t.Helper()
	primary.exec(`CHECKPOINT`) // pg_rewind reads the new timeline from it
	n.must(n.run("pg_rewind", "--target-pgdata="+n.data, "--source-server="+primary.conninfo(), "-R", "--no-sync"))
	n.start()
}
