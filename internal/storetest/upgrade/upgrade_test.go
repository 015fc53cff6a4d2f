package upgrade

import (
	"fmt"
	"testing"
)

// A database is as sound on each version that is not older as it was on its own.
func TestFromEachVersionToEach(t *testing.T) {
	t.Parallel()
	all := startAll(t)
	t.Run("dump and restore", func(t *testing.T) {
		t.Parallel()
		restoreEach(t, all)
	})
	t.Run("pg_upgrade", func(t *testing.T) {
		t.Parallel()
		upgradeEach(t, all)
	})
}

// restoreEach restores databases, and clones of their schema alone, into each version that is not older.
func restoreEach(t *testing.T, all []server) {
	for _, s := range shapes {
		for i, from := range all {
			source := from.database(t)
			s.build(t, source)
			rows := s.rows(t, source)
			for _, to := range all[i:] {
				t.Run(fmt.Sprintf("%s, %d to %d", s.name, from.version, to.version), func(t *testing.T) {
					t.Parallel()
					tools, ok := dumper(all, from, to)
					if !ok {
						t.Skipf("NOT TESTED: no pg_dump here reads a server of version %d", from.version)
					}
					restored := to.restore(t, tools, source)
					if got := s.rows(t, restored); got != rows {
						t.Errorf("restored rows:\n%s\nwant:\n%s", got, rows)
					}
					s.sound(t, restored)

					clone := to.restore(t, tools, source, "--schema-only")
					if adoption, err := s.migrator(t, clone).Adopt(t.Context(), true); err != nil {
						t.Fatalf("adopt: %v %+v", err, adoption.Findings)
					}
					s.sound(t, clone)
				})
			}
		}
	}
}

// dumper is the server whose pg_dump and psql take a database from one to the other: that of the newer version as
// PostgreSQL advises, else the next one that can read the older.
func dumper(all []server, from, to server) (server, bool) {
	if to.has("pg_dump", "psql") {
		return to, true
	}
	for _, s := range all {
		if s.version >= from.version && s.has("pg_dump", "psql") {
			return s, true
		}
	}
	return server{}, false
}

// upgradeEach has pg_upgrade take whole clusters along, to their own version too.
func upgradeEach(t *testing.T, all []server) {
	for i, from := range all {
		for _, to := range all[i:] {
			t.Run(fmt.Sprintf("%d to %d", from.version, to.version), func(t *testing.T) {
				if !from.has("pg_controldata", "pg_resetwal") || !to.has("pg_upgrade", "pg_dumpall", "vacuumdb") {
					t.Skipf("NOT TESTED: pg_upgrade from %d to %d needs programs that are not beside these servers",
						from.version, to.version)
				}
				if from.setsOption(t) && !to.setsOption(t) {
					t.Skipf("NOT TESTED: pg_upgrade from %d to %d: the older server's minor release is ahead, and gives "+
						"columns an option that the newer one refuses (%s)", from.version, to.version, newOption)
				}
				t.Parallel()
				upgrade(t, start(t, from.Local.Bindir), to)
			})
		}
	}
}

// upgrade takes a server of its own to the version of another.
func upgrade(t *testing.T, from, to server) {
	var databases, rows []string
	for _, s := range shapes {
		source := from.database(t)
		s.build(t, source)
		databases, rows = append(databases, source), append(rows, s.rows(t, source))
	}
	must(t, from.Local, "pg_ctl", "stop", "-D", "data", "-m", "fast", "-w")

	newer := from.Local // in the same directory
	newer.Bindir = to.Local.Bindir
	initdb := []string{"-D", "new", "--username=postgres", "--encoding=UTF8", "--locale=C", "--auth=trust", "--no-sync"}
	if from.version < 18 && to.version >= 18 { // from 18 on initdb wants checksums, and both have to be alike
		initdb = append(initdb, "--no-data-checksums")
	}
	must(t, newer, "initdb", initdb...)
	must(t, newer, "pg_upgrade", "--old-datadir=data", "--new-datadir=new", "--old-bindir="+from.Local.Bindir,
		"--new-bindir="+to.Local.Bindir, "--username=postgres", "--link")
	must(t, newer, "pg_ctl", "start", "-D", "new", "-l", "new.log", "-w",
		"-o", "-c listen_addresses= -c unix_socket_permissions=0700 -c unix_socket_directories=.. -p 5432")
	for i, s := range shapes {
		if got := s.rows(t, databases[i]); got != rows[i] {
			t.Errorf("%s: upgraded rows:\n%s\nwant:\n%s", s.name, got, rows[i])
		}
		s.sound(t, databases[i])
	}
}
