package taskstore

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// leases are tasks as the statements see them: ids in ascending order, the order in which rows are to
// be locked, and the version of each.
type leases struct {
	ids, versions []int64
	late          []int64 // of tasks that came with an older version, too: that one is not sent
}

// leasesOf takes each task once, with the highest version it comes with: one that was lost and claimed again
// has two, and only the later one can be alive.
func leasesOf(tasks []Task) leases {
	newestFirst := func(a, b Task) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(b.UpdatedAt, a.UpdatedAt))
	}
	if !slices.IsSortedFunc(tasks, newestFirst) {
		tasks = slices.SortedFunc(slices.Values(tasks), newestFirst)
	}
	l := leases{ids: make([]int64, 0, len(tasks)), versions: make([]int64, 0, len(tasks))}
	for _, t := range tasks {
		last := len(l.ids) - 1
		switch {
		case last < 0 || l.ids[last] != t.ID:
			l.ids, l.versions = append(l.ids, t.ID), append(l.versions, int64(t.UpdatedAt))
		case l.versions[last] != int64(t.UpdatedAt):
			l.late = append(l.late, t.ID)
		}
	}
	return l
}

// version returns the version that stands for the task with that id.
func (l leases) version(id int64) Millis {
	i, _ := slices.BinarySearch(l.ids, id)
	return Millis(l.versions[i])
}

// without returns the leases of the tasks that are not in done.
func (l leases) without(done map[int64]Millis) leases {
	var left leases
	for i, id := range l.ids {
		if _, ok := done[id]; !ok {
			left.ids, left.versions = append(left.ids, id), append(left.versions, l.versions[i])
		}
	}
	return left
}

// lost returns the ids of the tasks whose lease was not alive, given those whose was.
func (l leases) lost(done []int64) []int64 {
	slices.Sort(done)
	lost := slices.Clone(l.late)
	for _, id := range l.ids {
		if _, ok := slices.BinarySearch(done, id); !ok {
			lost = append(lost, id)
		}
	}
	return lost
}

// ahead remembers versions that lie ahead of the database's clock, and since when they have been the same by the
// clock of this program.
type ahead struct {
	mu   sync.Mutex
	seen map[int64]sighting
}

type sighting struct {
	version Millis
	since   time.Time
	last    time.Time
}

func newAhead() *ahead { return &ahead{seen: make(map[int64]sighting)} }

// silent notes rows and returns the ids and versions of those that have been the same for d.
func (a *ahead) silent(rows []dbgen.ListAheadRow, d time.Duration) (ids, versions []int64) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range rows {
		seen, ok := a.seen[r.ID]
		if !ok || seen.version != r.UpdatedAt {
			seen = sighting{version: r.UpdatedAt, since: now}
		}
		if seen.last = now; now.Sub(seen.since) >= d {
			ids, versions = append(ids, r.ID), append(versions, int64(r.UpdatedAt))
		}
		a.seen[r.ID] = seen
	}
	for id, seen := range a.seen { // those that were not seen for long have changed
		if now.Sub(seen.last) > max(10*d, time.Hour) {
			delete(a.seen, id)
		}
	}
	return ids, versions
}
