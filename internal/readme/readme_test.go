// Package readme holds the pages to what there is: their code compiles, both READMEs have the same, and their commands
// and links exist.
package readme

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var block = regexp.MustCompile("(?s)```(go|sh)\n(.*?)```")

// read returns the text of a page.
func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks returns the code in a page that is Go, or commands.
func blocks(t *testing.T, page, language string) (found []string) {
	t.Helper()
	for _, b := range block.FindAllStringSubmatch(read(t, filepath.Join("..", "..", page)), -1) {
		if b[1] == language {
			found = append(found, b[2])
		}
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of %s", page, language)
	}
	return found
}

func TestSnippetsCompile(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "docs/start.md", "docs/store.md"} {
		for i, code := range blocks(t, page, "go") {
			t.Run(fmt.Sprintf("%s/%d", page, i+1), func(t *testing.T) {
				t.Parallel()
				name := "snippet.go"
				if strings.Contains(code, "testing.T") {
					name = "snippet_test.go"
				}
				file := filepath.Join(t.TempDir(), name)
				if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

var comment = regexp.MustCompile(` +# .*`)

func TestBothReadmesShowTheSameCode(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"go", "sh"} {
		var code [2][]string
		for i, page := range []string{"README.md", "README.zh-CN.md"} {
			for _, b := range blocks(t, page, language) {
				code[i] = append(code[i], comment.ReplaceAllString(b, ""))
			}
		}
		if !slices.Equal(code[0], code[1]) {
			t.Errorf("the %s blocks differ:\n%q\n%q", language, code[0], code[1])
		}
	}
}

func TestReadmesAreShort(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "README.zh-CN.md"} {
		if lines := strings.Count(read(t, filepath.Join("..", "..", page)), "\n"); lines > 120 {
			t.Errorf("%s has %d lines, want at most 120: what is more belongs into docs", page, lines)
		}
	}
}
