// Package readme holds the README's Go snippets to compiling.
package readme

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

var snippet = regexp.MustCompile("(?s)```go\n(.*?)```")

func TestSnippetsCompile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"README.md", "README.zh-CN.md"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		snippets := snippet.FindAllSubmatch(text, -1)
		if len(snippets) < 3 {
			t.Errorf("%s has %d Go snippets, want at least 3", name, len(snippets))
		}
		for i, s := range snippets {
			t.Run(fmt.Sprintf("%s/%d", name, i+1), func(t *testing.T) {
				t.Parallel()
				file := filepath.Join(t.TempDir(), "snippet.go")
				if err := os.WriteFile(file, s[1], 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}
