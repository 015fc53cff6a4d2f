package taskstore

import (
	"cmp"
	"context"
	"slices"

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

// sent reports whether t's own version is the one that stands for it.
func (l leases) sent(t Task) bool {
	i, ok := slices.BinarySearch(l.ids, t.ID)
	return ok && l.versions[i] == int64(t.UpdatedAt)
}

// groups are the calls that share statements.
type groups struct {
	creates *group[NewTask, dbgen.CreateTaskRow]
	renews  *group[leases, []dbgen.HeartbeatTasksRow]
	ends    map[Status]*group[leases, []int64]
}

func newGroups(s *Store) groups {
	g := groups{
		creates: &group[NewTask, dbgen.CreateTaskRow]{alone: s.createAlone, shared: s.createShared},
		renews: &group[leases, []dbgen.HeartbeatTasksRow]{
			alone: s.renewAlone,
			shared: func(ctx context.Context, calls []leases) ([][]dbgen.HeartbeatTasksRow, error) {
				return share(ctx, calls, s.renewAlone, func(r dbgen.HeartbeatTasksRow) int64 { return r.ID })
			},
		},
		ends: make(map[Status]*group[leases, []int64]),
	}
	for _, to := range []Status{Pending, Completed, Failed} {
		alone := func(ctx context.Context, l leases) ([]int64, error) { return s.endAlone(ctx, to, l) }
		g.ends[to] = &group[leases, []int64]{
			alone: alone,
			shared: func(ctx context.Context, calls []leases) ([][]int64, error) {
				return share(ctx, calls, alone, func(id int64) int64 { return id })
			},
		}
	}
	return g
}

// concurrent reports whether calls on s may share a statement: not in a caller's transaction, and not
// on a single connection, which serves one call at a time anyway.
func (s *Store) concurrent() bool {
	return !s.inTx && connOf(s.db) == nil && !s.alone
}

// fewTasks is how many tasks a call may be for and share its statement. A larger one has little to gain.
const fewTasks = 16

func (s *Store) sharesLeases(l leases) bool {
	return s.groupCommit && len(l.ids) <= fewTasks && s.concurrent()
}

// renew renews the leases that are alive.
func (s *Store) renew(ctx context.Context, l leases) ([]dbgen.HeartbeatTasksRow, error) {
	if s.sharesLeases(l) {
		return s.renews.do(ctx, l)
	}
	return s.renewAlone(ctx, l)
}

func (s *Store) renewAlone(ctx context.Context, l leases) ([]dbgen.HeartbeatTasksRow, error) {
	return retry(ctx, s, func() ([]dbgen.HeartbeatTasksRow, error) { return s.q.HeartbeatTasks(ctx, l.ids, l.versions) })
}

// end ends the leases that are alive and returns their ids.
func (s *Store) end(ctx context.Context, to Status, l leases) ([]int64, error) {
	if s.sharesLeases(l) {
		return s.ends[to].do(ctx, l)
	}
	return s.endAlone(ctx, to, l)
}

func (s *Store) endAlone(ctx context.Context, to Status, l leases) ([]int64, error) {
	return retry(ctx, s, func() ([]int64, error) { return s.q.FinishTasks(ctx, int32(to), l.ids, l.versions) })
}

// share runs one statement for the leases of several calls and gives each call its rows.
func share[Row any](ctx context.Context, calls []leases, run func(context.Context, leases) ([]Row, error), id func(Row) int64) ([][]Row, error) {
	callOf := make(map[int64]int)
	version := make(map[int64]int64)
	for i, l := range calls {
		for j, id := range l.ids {
			if _, ok := callOf[id]; ok {
				return nil, errSameTask
			}
			callOf[id], version[id] = i, l.versions[j]
		}
	}
	all := leases{ids: make([]int64, 0, len(version)), versions: make([]int64, 0, len(version))}
	for id := range version {
		all.ids = append(all.ids, id)
	}
	slices.Sort(all.ids)
	for _, id := range all.ids {
		all.versions = append(all.versions, version[id])
	}
	rows, err := run(ctx, all)
	if err != nil {
		return nil, err
	}
	out := make([][]Row, len(calls))
	for _, r := range rows {
		i := callOf[id(r)]
		out[i] = append(out[i], r)
	}
	return out, nil
}
