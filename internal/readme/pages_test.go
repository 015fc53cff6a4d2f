package readme

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outside are the pages that `make site` does not look at.
var outside = []string{"README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}

var (
	fence   = regexp.MustCompile("(?s)```.*?```")
	command = regexp.MustCompile("(?m)^(?:bin/)?((?:tasks|taskmigrate) [a-z][^#>|\n]*)") // a line of a block
	inline  = regexp.MustCompile("`((?:tasks|taskmigrate) [a-z][^`\n]*)`")
)

// Each command on the pages exists, and takes the flags that stand beside it.
func TestCommandsExist(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/...").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages := make(map[string]string) // of each command
	for _, page := range outside {
		docs = append(docs, filepath.Join("..", "..", page))
	}
	for _, page := range docs {
		text := read(t, page)
		found := inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1)
		for _, code := range fence.FindAllString(text, -1) {
			found = append(found, command.FindAllStringSubmatch(code, -1)...)
		}
		for _, f := range found {
			pages[strings.TrimSpace(f[1])] = page
		}
	}
	if len(pages) < 20 {
		t.Errorf("only %d commands are on the pages: %v", len(pages), pages)
	}
	for line, page := range pages {
		words := append(strings.Fields(line), "--help")
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, words[0]), words[1:]...).CombinedOutput()
		usage := "\n  " + words[0] + " " + words[1] + " "
		if err != nil || !strings.Contains(string(out), usage) { // of an unknown command it shows the help of all
			t.Errorf("%s names `%s`: %v\n%s", page, line, err, out)
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile(`[^\pL\pN _-]`) // from a heading, where GitHub makes an anchor of it
)

// Each link to a file or to a heading leads somewhere.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range outside {
		for _, found := range link.FindAllStringSubmatch(read(t, filepath.Join("..", "..", page)), -1) {
			if strings.HasPrefix(found[1], "https://") {
				continue
			}
			target, anchor := filepath.Join("..", "..", cmp.Or(found[1], page)), found[2]
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if anchor == "" {
				continue
			}
			there := func(h []string) bool {
				return strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor
			}
			if !slices.ContainsFunc(heading.FindAllStringSubmatch(read(t, target), -1), there) {
				t.Errorf("%s: %s has no heading for #%s", page, target, anchor)
			}
		}
	}
}
