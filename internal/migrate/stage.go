package migrate

import (
	"slices"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// judgeStage compares a table without a history with how it should be, and tells at which version it stands.
// That is the first one, unless all of a later version is there: `pg_dump --schema-only` copies a managed
// table without the rows of its history. Only our migrations make the triggers, so without them the table is
// somebody else's, however much else it has. Of versions that look alike the lowest counts: the files
// between them can be run twice. A version does not fit a table that still has what the version dropped.
func (m *Migrator) judgeStage(live []catalog.Item) (int64, []catalog.Finding, error) {
	stage := m.known[0].version
	same := slices.Equal[[]catalog.Item]
	if !slices.ContainsFunc(live, isSetting) { // a copy may have lost them, so they alone make no stage
		same = func(a, b []catalog.Item) bool { return slices.Equal(withoutSettings(a), withoutSettings(b)) }
	}
	snapshots := make([][]catalog.Item, len(m.known))
	for i, s := range m.known {
		var err error
		if snapshots[i], err = catalog.Snapshot(s.version); err != nil {
			return 0, nil, err
		}
	}
	var items []catalog.Item
	for i, s := range slices.Backward(m.known) {
		expected, earlier := snapshots[i], slices.Concat(snapshots[:i]...)
		fits := driftError(catalog.Judge(expected, live, s.version, earlier), "", catalog.Block, catalog.Repair) == nil
		if !fits && items == nil {
			continue
		}
		if !slices.ContainsFunc(expected, isTrigger) || items != nil && !same(expected, items) {
			break
		}
		stage, items = s.version, expected
	}
	if items != nil {
		return stage, catalog.Judge(items, live, stage, nil), nil
	}
	expected, later, err := m.documented()
	if err != nil {
		return 0, nil, err
	}
	return stage, catalog.Judge(expected, live, stage, later), nil
}

func isTrigger(item catalog.Item) bool { return item.Kind == catalog.Trigger }

func isSetting(item catalog.Item) bool { return item.Aspect == catalog.Setting }

func withoutSettings(items []catalog.Item) []catalog.Item {
	return slices.DeleteFunc(slices.Clone(items), isSetting)
}
