//go:build unix

package pgserver

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

//go:embed supervise.sh
var supervise string

// maxSocketPath is a length of a socket's path that every system allows (macOS: 103 bytes).
const maxSocketPath = 100

// startLocal runs a private cluster in a temporary directory that only its owner can enter. It
// listens on a socket in there and nowhere else, so no two clusters can collide.
func startLocal(ctx context.Context, c config, o options) (*Server, error) {
	bin, err := findBinaries(ctx, cmp.Or(o.bindir, c.bindir))
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	settings, err := configFile(append(o.settings,
		// Relative to the data directory, so that no directory's name has to be quoted.
		[2]string{"unix_socket_directories", ".."},
		[2]string{"unix_socket_permissions", "0700"},
		[2]string{"listen_addresses", ""},
		[2]string{"port", "5432"},
	))
	if err != nil {
		return nil, err
	}

	args := append([]string{"-c", supervise, "taskstore-postgres", bin, settings},
		directories(bases(o.durable), "taskstore-postgres-"+rand.Text()[:10])...)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", args...)
	cmd.Dir = "/" // ours may be closed to the server's user
	cmd.Env = append(serverEnv(), o.environment...)
	// In a process group of its own, so that Ctrl-C in the terminal reaches this process only. The supervisor
	// stops the server when this process has ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the server's supervisor: %w", err)
	}
	stop := func() error {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("pgserver: stopping the local server: %w", err)
		}
		return nil
	}

	password := rand.Text()
	_, _ = io.WriteString(stdin, password+"\n") // a failure shows as the supervisor's end
	release := context.AfterFunc(ctx, func() { _ = stdin.Close() })
	dir, err := ready(stdout)
	if !release() {
		err = ctx.Err()
	}
	if err != nil {
		_ = stop() // its status says no more than the output that err carries
		return nil, fmt.Errorf("local server from %s: %w", bin, err)
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password), Path: "/postgres",
		RawQuery: url.Values{"host": {dir}}.Encode()}
	if postgres, err := filepath.EvalSymlinks(filepath.Join(bin, "postgres")); err == nil {
		bin = filepath.Dir(postgres) // on PATH may be links to some of the programs
	}
	local := Local{Dir: dir, Bindir: bin, prepare: func(cmd *exec.Cmd) {
		cmd.Env = append(serverEnv(), "PGPASSWORD="+password)
		// In a process group of its own: a Ctrl-C must not end a server that it starts.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	}}
	return &Server{URL: u.String(), Source: "local", Local: local, stop: stop}, nil
}

// ready waits until the supervisor reports that the server runs, and returns the cluster's directory.
func ready(stdout io.Reader) (string, error) {
	var said []string
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if dir, ok := strings.CutPrefix(lines.Text(), "ready "); ok {
			return dir, nil
		}
		said = append(said, lines.Text())
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", errors.New("did not start:\n" + strings.Join(said, "\n"))
}

// bases returns the directories in which a cluster may be made, the best first: TMPDIR if it is set, else memory if
// there is plenty of it and commits need not reach a disk, else the usual places.
func bases(durable bool) []string {
	list := []string{os.TempDir(), "/tmp"}
	if memory := inMemory(); memory != "" && os.Getenv("TMPDIR") == "" && !durable {
		list = append([]string{memory}, list...)
	}
	return list
}

// directories returns what the cluster's directory may be, the best first. The supervisor takes the first one that it
// can make. Those whose names are too long for a socket are left out.
func directories(bases []string, name string) []string {
	var dirs []string
	for _, base := range bases {
		dir := filepath.Join(base, name)
		if len(filepath.Join(dir, ".s.PGSQL.5432")) <= maxSocketPath {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// unprivileged returns the user that the server runs as if this process is root's: PostgreSQL refuses to run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody")
}

// serverEnv passes on what programs need to start: nothing that configures PostgreSQL (PGPORT, PGDATA), no secrets.
func serverEnv() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// configFile writes the settings as lines of a postgresql.conf.
func configFile(settings [][2]string) (string, error) {
	var b strings.Builder
	for _, s := range settings {
		if s[0] == "" || strings.Trim(s[0], "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" ||
			strings.ContainsAny(s[1], "\n\r\x00") {
			return "", fmt.Errorf("setting %q = %q cannot stand in a configuration file", s[0], s[1])
		}
		fmt.Fprintf(&b, "%s = '%s'\n", s[0], strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(s[1]))
	}
	return b.String(), nil
}
