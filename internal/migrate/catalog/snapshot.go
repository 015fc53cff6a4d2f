package catalog

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed snapshots/*.json
var snapshots embed.FS

// FileName is where the snapshot of a version is kept, below this package's folder.
func FileName(version int64) string { return fmt.Sprintf("snapshots/%05d.json", version) }

// Snapshot is how a database looks in which every migration up to version is applied, and nothing else
// was done. It comes from a real server, by `make generate`.
func Snapshot(version int64) ([]Item, error) {
	text, err := snapshots.ReadFile(FileName(version))
	if err != nil {
		return nil, fmt.Errorf("this binary has no snapshot of version %d: %w", version, err)
	}
	var items []Item
	if err := json.Unmarshal(text, &items); err != nil {
		return nil, fmt.Errorf("snapshot of version %d: %w", version, err)
	}
	return items, nil
}

// IndexNames lists the names of the indexes in a description, of side tables too.
func IndexNames(items []Item) []string {
	var names []string
	for _, item := range items {
		switch {
		case item.Kind == Index && item.Aspect == Definition:
			names = append(names, item.Object)
		case item.Kind == SideTable && strings.Contains(item.Object, ".idx_"):
			_, name, _ := strings.Cut(item.Object, ".")
			names = append(names, name)
		}
	}
	return names
}
