package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gitlab-ci-local checks the file with GitLab's own schema, and runs the jobs of a pipeline.
func TestGitLab(t *testing.T) {
	t.Parallel()
	need(t, "npx", "rsync", "git")
	db := newDatabase(t)
	recipe, err := os.ReadFile("gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	image := "\n  image: golang:1.26\n"
	if !strings.Contains(string(recipe), image) {
		t.Fatal("the recipe has another image")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, ".gitlab-ci.yml") // without a container, jobs run in a shell
	if err := os.WriteFile(file, []byte(strings.Replace(string(recipe), image, "\n", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main"},
		{"remote", "add", "origin", "git@gitlab.example.com:team/service.git"},
		{"add", "."},
		{"-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-qm", "the recipe"},
	} {
		if code, said := tryIn(t, dir, nil, "git", args...); code != 0 {
			t.Fatalf("git %s: %s", strings.Join(args, " "), said)
		}
	}
	pipeline := func(args ...string) string {
		code, said := tryIn(t, dir, nil, "npx", append([]string{"--yes", "--loglevel=error", "gitlab-ci-local@4.55.0",
			"--variable", "TASKS_READ_URL=" + db.read, "--variable", "TASKS_MIGRATE_URL=" + db.migrate}, args...)...)
		if code != 0 {
			t.Fatalf("exit %d\n%s", code, said)
		}
		return said
	}

	pipeline("--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--unset-variable", "CI_COMMIT_BRANCH") // as GitLab
	page, err := os.ReadFile(filepath.Join(dir, ".gitlab-ci-local", "artifacts", "review", "report.html"))
	if err != nil || !strings.Contains(string(page), "CREATE INDEX CONCURRENTLY") {
		t.Errorf("the report: %v, %d bytes", err, len(page))
	}
	if db.migrated(t) {
		t.Error("a review migrated")
	}
	if said := pipeline(); !db.migrated(t) || !strings.Contains(said, "deploy your services here") {
		t.Errorf("not migrated, or not deployed:\n%s", said)
	}
}
