package deploy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

type workflow struct {
	Jobs map[string]struct {
		Env   map[string]string
		Steps []struct {
			Name, Run string
			Env       map[string]string
		}
	}
}

// runGitHub runs a job's commands but for its first, which install taskmigrate.
func runGitHub(t *testing.T, job string, secrets map[string]string, env ...string) (code int, said string) {
	t.Helper()
	text, err := os.ReadFile("github.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var w workflow
	if err := yaml.Unmarshal(text, &w); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env = append(env, "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary.md"))
	for _, step := range w.Jobs[job].Steps {
		if step.Run == "" || step.Name == "Install" {
			continue
		}
		set := env
		for _, values := range []map[string]string{w.Jobs[job].Env, step.Env} {
			for name, value := range values {
				for secret, is := range secrets {
					value = strings.ReplaceAll(value, "${{ secrets."+secret+" }}", is)
				}
				set = append([]string{name + "=" + value}, set...)
			}
		}
		var out string
		code, out = tryIn(t, dir, set, "bash", "-e", "-c", step.Run)
		if said += out; code != 0 {
			break
		}
	}
	return code, said
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	secrets := map[string]string{"TASKS_READ_URL": db.read, "TASKS_MIGRATE_URL": db.migrate}
	code, said := runGitHub(t, "review", secrets)
	if code != 0 || !strings.Contains(said, "--edit-last") || !strings.Contains(said, "CREATE INDEX CONCURRENTLY") {
		t.Errorf("review: exit %d\n%s", code, said)
	}
	if db.migrated(t) {
		t.Error("a review migrated")
	}
	if code, said = runGitHub(t, "migrate", secrets); code != 0 || !db.migrated(t) {
		t.Errorf("migrate: exit %d\n%s", code, said)
	}
}

// Somebody holds a lock on the table: the job tries twice, and then fails with the exit code that says so.
func TestGitHubGivesUpOnALock(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	tx, err := dbtest.Connect(t, db.admin).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK tasks"); err != nil {
		t.Fatal(err)
	}
	code, said := runGitHub(t, "migrate", map[string]string{"TASKS_MIGRATE_URL": db.migrate}, "PAUSE=0",
		"TASKMIGRATE_LOCK_TIMEOUT=10ms", "TASKMIGRATE_LOCK_RETRIES=1", "TASKMIGRATE_INDEX_WAIT=100ms")
	if code != 5 || strings.Count(said, "taskmigrate: ") != 2 {
		t.Errorf("exit %d\n%s", code, said)
	}
}
