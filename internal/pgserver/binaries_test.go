package pgserver

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// program makes an executable file.
func program(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestInstalledPutsTheNewestVersionFirst(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{
		"deb/9.6", "deb/14", "deb/9", "deb/17", "brew/postgresql@9", "brew/postgresql@16", "brew/postgresql",
	} {
		program(t, filepath.Join(root, dir, "bin", "initdb"))
	}
	got := installed([]string{
		filepath.Join(root, "deb/*/bin"), filepath.Join(root, "none/*/bin"), filepath.Join(root, "brew/postgresql*/bin"),
	})
	var want []string
	for _, dir := range []string{
		"deb/17", "deb/14", "deb/9.6", "deb/9", "brew/postgresql@16", "brew/postgresql@9", "brew/postgresql",
	} {
		want = append(want, filepath.Join(root, dir, "bin"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// PATH may hold a link to one program only; the others are beside what it points to.
func TestOnPathFollowsLinks(t *testing.T) {
	t.Parallel()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real := filepath.Join(root, "real")
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		program(t, filepath.Join(real, name))
	}
	link := filepath.Join(root, "postgres")
	if err := os.Symlink(filepath.Join(real, "postgres"), link); err != nil {
		t.Fatal(err)
	}
	got := onPath(func(name string) (string, error) {
		if name == "postgres" {
			return link, nil
		}
		return "", errors.New("not on PATH")
	})
	if want := []string{root, real}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
	if complete(root) || !complete(real) {
		t.Errorf("complete: %v %v; want false true", complete(root), complete(real))
	}
}

func TestCompleteWantsExecutables(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"initdb", "pg_ctl", "postgres"} {
		program(t, filepath.Join(dir, name))
	}
	if !complete(dir) {
		t.Fatal("three programs are not enough")
	}
	if err := os.Chmod(filepath.Join(dir, "initdb"), 0o644); err != nil {
		t.Fatal(err)
	}
	if complete(dir) {
		t.Error("a file that cannot be executed passes for a program")
	}
}
