package deploy

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The unit is sound and safe by systemd's own measure, and its command migrates with its environment.
func TestSystemd(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	text, err := os.ReadFile("taskmigrate.service")
	if err != nil {
		t.Fatal(err)
	}
	const installed = "/usr/local/bin/taskmigrate"
	dir := t.TempDir()
	unit := filepath.Join(dir, "taskmigrate.service")
	here := strings.ReplaceAll(string(text), installed, filepath.Join(bin, "taskmigrate"))
	if err := os.WriteFile(unit, []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, 0, nil, "systemd-analyze", "verify", unit)
	must(t, 0, nil, "systemd-analyze", "security", "--offline=true", "--threshold=20", unit) // tenths, of 100

	db := newDatabase(t)
	u, err := url.Parse(db.migrate)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	host, port := u.Query().Get("host"), u.Query().Get("port")
	line := fmt.Sprintf("%s:%s:%s:%s:%s\n", "*", "*", "*", u.User.Username(), password)
	if err := os.WriteFile(filepath.Join(dir, "pgpass"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	var command, env []string
	for _, setting := range strings.Split(string(text), "\n") {
		switch name, value, _ := strings.Cut(setting, "="); name {
		case "ExecStart":
			command = strings.Fields(value)
		case "Environment":
			env = strings.Fields(strings.ReplaceAll(value, "%d", dir))
		}
	}
	env = append(env, "PGHOST="+host, "PGPORT="+port, "PGDATABASE="+strings.TrimPrefix(u.Path, "/"),
		"PGUSER="+u.User.Username(), "PGSSLMODE=disable") // of this server
	must(t, 0, env, "taskmigrate", command[1:]...)
	if !db.migrated(t) {
		t.Error("not migrated")
	}
}
