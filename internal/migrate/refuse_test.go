//go:build unix

package migrate

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

func TestAPoolerInTransactionModeIsRefused(t *testing.T) {
	t.Parallel()
	for mode, refused := range map[string]bool{"transaction": true, "statement": true, "session": false} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			direct := dbtest.New(t)
			before := dbtest.Contents(t, direct)
			b := setupWith(t, bouncer(t, direct, mode), func(*Options) {})
			_, err := b.Up(t.Context(), Newest)
			if !refused {
				if err != nil {
					t.Error(err)
				}
				return
			}
			failure := wantKind(t, err, Failed)
			if !strings.Contains(failure.Message, "pooler") || failure.Hint == "" {
				t.Errorf("%+v", failure)
			}
			if dbtest.Contents(t, direct) != before {
				t.Error("something was changed")
			}
		})
	}
}

// bouncer runs PgBouncer in front of a database and returns the URL that leads through it.
func bouncer(t *testing.T, direct, mode string) string {
	t.Helper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		t.Skip("no pgbouncer here; apt-get install pgbouncer")
	}
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	dir, err := os.MkdirTemp("", "bouncer") // the user that PgBouncer runs as has to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = %s
`, config.Host, config.Port, config.User, config.Password, port, mode)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-q", file)
	if os.Geteuid() == 0 {
		cmd.Args = append(cmd.Args, "-u", socketOwner(config.Host)) // it refuses to run as root
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	address := net.JoinHostPort("127.0.0.1", port)
	dbtest.Eventually(t, func() string {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
	through := url.URL{Scheme: "postgres", User: url.User(config.User), Host: address, Path: dbtest.Name(t, direct)}
	return through.String() + "?sslmode=disable"
}

// socketOwner is a user that may enter the directory of the server's socket.
func socketOwner(host string) string {
	if info, err := os.Stat(host); err == nil {
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			if owner, err := user.LookupId(fmt.Sprint(stat.Uid)); err == nil && owner.Uid != "0" {
				return owner.Username
			}
		}
	}
	return "nobody"
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
