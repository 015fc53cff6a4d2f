package peer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// PGBench runs PostgreSQL's own load generator. It is written in C and does nothing with what it receives, so
// no client can be expected to be faster.
type PGBench struct{ bin, url, password string }

// FindPGBench returns nil if this machine has no pgbench.
func FindPGBench(databaseURL string) *PGBench {
	bin, err := exec.LookPath("pgbench")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench") // the pattern is well-formed
		if len(found) == 0 {
			return nil
		}
		bin = found[len(found)-1]
	}
	u, err := url.Parse(databaseURL)
	if err != nil {
		return nil
	}
	password, _ := u.User.Password()
	u.User = url.User(u.User.Username()) // the password must not be in the arguments, which ps shows
	return &PGBench{bin, u.String(), password}
}

// Run runs script over as many connections as clients says: for the time d if transactions is 0, else that
// many times in all. It returns the latency of each transaction, and the time from the begin of the first one to
// the end of the last.
func (p *PGBench) Run(
	ctx context.Context, script string, clients int, d time.Duration, transactions int,
) ([]time.Duration, time.Duration, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "script.sql")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return nil, 0, err
	}
	args := []string{"-n", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", "1", "-f", file,
		"--log", "--log-prefix", filepath.Join(dir, "log")}
	if transactions > 0 {
		args = append(args, "-t", strconv.Itoa(transactions/clients))
	} else {
		args = append(args, "-T", strconv.Itoa(max(2, int(d.Seconds()))))
	}
	cmd := exec.CommandContext(ctx, p.bin, append(args, p.url)...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+p.password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, 0, fmt.Errorf("pgbench: %w: %s", err, out)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "log.*")) // the pattern is well-formed
	if len(logs) != 1 {
		return nil, 0, errors.New("pgbench left no log")
	}
	return readLog(logs[0])
}

// readLog reads pgbench's log. Each line has: client, transaction, latency in µs, script, seconds, microseconds.
func readLog(name string) (lat []time.Duration, elapsed time.Duration, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	var first, last time.Time
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		field := strings.Fields(lines.Text())
		if len(field) < 6 {
			return nil, 0, fmt.Errorf("pgbench wrote %q", lines.Text())
		}
		us, err1 := strconv.ParseInt(field[2], 10, 64)
		sec, err2 := strconv.ParseInt(field[4], 10, 64)
		frac, err3 := strconv.ParseInt(field[5], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, 0, err
		}
		d, end := time.Duration(us)*time.Microsecond, time.Unix(sec, frac*1000)
		if begin := end.Add(-d); first.IsZero() || begin.Before(first) {
			first = begin
		}
		if end.After(last) {
			last = end
		}
		lat = append(lat, d)
	}
	if len(lat) == 0 {
		return nil, 0, errors.New("pgbench did nothing")
	}
	return lat, last.Sub(first), lines.Err()
}
