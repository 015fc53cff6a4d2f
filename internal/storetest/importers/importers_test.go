package importers

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tasklane/tasks"

// scratch is a module of somebody who imports packages, and nothing else.
type scratch struct{ dir string }

// newScratch writes the module. Its go.mod has these requirements, as a person would write them.
func newScratch(t *testing.T, requirements []string, imports ...string) scratch {
	t.Helper()
	root := strings.TrimSpace(goCommand(t, ".", "list", "-m", "-f", "{{.Dir}}", module))
	s := scratch{t.TempDir()}
	mod := "module example.com/importer\n\ngo 1.26.0\n\nreplace " + module + " => " + root + "\n"
	for _, r := range requirements {
		mod += "\nrequire " + r + "\n"
	}
	program := "package main\n\nimport (\n\t_ \"" + strings.Join(imports, "\"\n\t_ \"") + "\"\n)\n\nfunc main() {}\n"
	for name, text := range map[string]string{"go.mod": mod, "main.go": program} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// goCommand runs go as an importer would. This test was built from all modules that it needs, so they are in the
// module cache.
func goCommand(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOTOOLCHAIN=local", "GOSUMDB=off")
	if dir != "." {
		cmd.Env = append(cmd.Env, "GOFLAGS=-mod=mod")
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

// requirements are the modules that the importer's go.mod has got, as "path version".
func (s scratch) requirements(t *testing.T) []string {
	t.Helper()
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal([]byte(goCommand(t, s.dir, "mod", "edit", "-json")), &mod); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range mod.Require {
		all = append(all, r.Path+" "+r.Version)
	}
	return all
}

// sums says which modules the importer's go.sum names: true for those whose files are fetched, false
// for those of which only the go.mod is looked at.
func (s scratch) sums(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		all[fields[0]] = all[fields[0]] || !strings.HasSuffix(fields[1], "/go.mod")
	}
	return all
}

// An importer compiles three packages of this module, pgx, and what pgx needs.
func TestImportersCompilePgxAndNothingElse(t *testing.T) {
	t.Parallel()
	allowed := regexp.MustCompile(`^(` + strings.Join([]string{
		`example\.com/importer`,
		module + `/(taskstore|taskwork|dbgen)`,
		`github\.com/jackc/pgx/v5(/.*)?`,
		`github\.com/jackc/(pgpassfile|pgservicefile|puddle/v2)(/.*)?`,
		`golang\.org/x/(sync|text)(/.*)?`,
	}, "|") + `)$`)
	for name, imports := range map[string][]string{
		"alone":       {module + "/taskstore"},
		"with a pool": {module + "/taskstore", "github.com/jackc/pgx/v5/pgxpool"},
		"at work":     {module + "/taskwork"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScratch(t, []string{module + " v0.0.0"}, imports...)
			goCommand(t, s.dir, "get", ".") // what a person does after writing the import
			packages := strings.Fields(goCommand(t, s.dir,
				"list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "."))
			for _, p := range packages {
				if !allowed.MatchString(p) {
					t.Errorf("an importer compiles %s", p)
				}
			}
			if !slices.Contains(packages, module+"/taskstore") || !slices.Contains(packages, "github.com/jackc/pgx/v5") {
				t.Errorf("the importer compiles %q, which is not the store", packages)
			}
			for _, r := range s.requirements(t) {
				if path, _, _ := strings.Cut(r, " "); path != module && !allowed.MatchString(path) {
					t.Errorf("the importer's go.mod has got %s", r)
				}
			}
			for path, fetched := range s.sums(t) {
				if fetched && !allowed.MatchString(path) {
					t.Errorf("an importer fetches %s", path)
				}
			}
			goCommand(t, s.dir, "build", "-o", os.DevNull, ".")
		})
	}
}

// `go mod tidy` also resolves the tests of the packages that are imported, and with them what those
// need. pgx's own tests need testify, which therefore stands in the go.sum of everybody who uses pgx;
// the store must add nothing to what pgx alone brings.
func TestImportersGoSumIsThatOfPgx(t *testing.T) {
	t.Parallel()
	pgx := []string{"github.com/jackc/pgx/v5", "github.com/jackc/pgx/v5/pgxpool"}
	importer := newScratch(t, []string{module + " v0.0.0"}, append(pgx, module+"/taskstore")...)
	goCommand(t, importer.dir, "mod", "tidy")

	// The same versions as the importer's, so that the two go.sum can be compared.
	versions := slices.DeleteFunc(importer.requirements(t), func(r string) bool { return strings.HasPrefix(r, module) })
	plain := newScratch(t, versions, pgx...)
	goCommand(t, plain.dir, "mod", "tidy")

	got, want := importer.sums(t), plain.sums(t)
	if !want["github.com/jackc/pgx/v5"] {
		t.Fatalf("the go.sum of an importer of pgx has no pgx: %v", want)
	}
	if !maps.Equal(got, want) {
		t.Errorf("an importer's go.sum names\n%v\nand that of an importer of pgx alone\n%v", got, want)
	}
	heavy := regexp.MustCompile(`goose|dockertest|docker|sqlc|cobra|` + module)
	for path := range got {
		if heavy.MatchString(path) {
			t.Errorf("an importer's go.sum names %s", path)
		}
	}
	for _, r := range importer.requirements(t) {
		if heavy.MatchString(strings.TrimPrefix(r, module)) || strings.Contains(r, "testify") {
			t.Errorf("an importer's go.mod names %s", r)
		}
	}
}

// The store's own tests need nothing that an importer would have to resolve.
func TestTestsBesideTheStoreImportPgxAtMost(t *testing.T) {
	t.Parallel()
	out := goCommand(t, ".", "list", "-f", "{{range .TestImports}}{{.}}\n{{end}}{{range .XTestImports}}{{.}}\n{{end}}",
		module+"/taskstore/...", module+"/dbgen")
	allowed := regexp.MustCompile(`^(` + module + `/(taskstore|dbgen)|github\.com/jackc/pgx/v5(/.*)?)$`)
	for _, p := range strings.Fields(out) {
		if strings.Contains(p, ".") && !allowed.MatchString(p) {
			t.Errorf("a test beside the store imports %s", p)
		}
	}
}
