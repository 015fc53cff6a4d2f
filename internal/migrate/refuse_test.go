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
	dir, err := os.MkdirTemp("/tmp", "bouncer") // short enough for a socket's path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // the user that PgBouncer runs as makes its socket there
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s port=%d user=%s password=%s
[pgbouncer]
listen_addr =
unix_socket_dir = %s
auth_type = any
pool_mode = %s
`, config.Host, config.Port, config.User, config.Password, dir, mode)
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
	dbtest.Eventually(t, func() string {
		conn, err := net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432"))
		if err != nil {
			return err.Error()
		}
		_ = conn.Close()
		return ""
	})
	return "postgres:///" + dbtest.Name(t, direct) + "?" +
		url.Values{"host": {dir}, "port": {"6432"}, "user": {config.User}}.Encode()
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
