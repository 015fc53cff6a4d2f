package catalog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/catalog"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

var update = flag.Bool("update", false, "write the snapshots anew, as `make generate` does")

// Each snapshot is how the table looks after its migration.
func TestSnapshotsAreNotStale(t *testing.T) {
	t.Parallel()
	url := dbtest.New(t)
	m, err := migrate.New(url, migrate.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	known, err := migrate.Known()
	if err != nil {
		t.Fatal(err)
	}
	conn := dbtest.Connect(t, url)
	for _, migration := range known {
		if _, err := m.Up(t.Context(), migration.Version); err != nil {
			t.Fatal(err)
		}
		items, err := catalog.Read(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		name, live := catalog.FileName(migration.Version), marshal(t, items)
		if *update {
			if err := os.WriteFile(name, live, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		kept, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(kept, live) {
			t.Errorf("%s is stale: the table now is\n%s", name, live)
		}
	}
}

// marshal writes one line an item, to be read in a review.
func marshal(t *testing.T, items []catalog.Item) []byte {
	t.Helper()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	for i, item := range items {
		text.WriteString(map[bool]string{true: "[\n  ", false: ", "}[i == 0])
		if err := encoder.Encode(item); err != nil {
			t.Fatal(err)
		}
	}
	text.WriteString("]\n")
	return text.Bytes()
}
