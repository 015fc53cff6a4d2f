package taskstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tasklane/tasks/dbgen"
)

// What a Store does otherwise on a table that schema/citus.sql has distributed. Citus refuses row locks across shards,
// and has every write to several shards wait for each other. So statements that pass by what is locked run shard by
// shard, and the others name the ids that they are for, so that Citus asks only their shards.

// byShard returns ids in groups that each lie on one shard, in the order in which they came; without Citus, in one.
func (s *Store) byShard(ctx context.Context, ids []int64) ([][]int64, error) {
	if !s.citus || len(ids) == 0 {
		return [][]int64{ids}, nil
	}
	rows, err := read(ctx, s, func(q *dbgen.Queries) ([]dbgen.ListShardsRow, error) { return q.ListShards(ctx, ids) })
	if err != nil {
		return nil, err
	}
	var groups [][]int64
	of := make(map[int64]int)
	for _, r := range rows {
		i, ok := of[r.Shard]
		if !ok {
			i = len(groups)
			of[r.Shard], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], r.ID)
	}
	return groups, nil
}

// renewOnShards is HeartbeatTasks, shard by shard. It adds to renewed.
func (s *Store) renewOnShards(ctx context.Context, l leases, renewed map[int64]Millis) error {
	groups, err := s.byShard(ctx, l.ids)
	for _, group := range groups {
		if err != nil {
			break
		}
		versions := make([]int64, len(group))
		for i, id := range group {
			versions[i] = int64(l.version(id))
		}
		var rows []dbgen.HeartbeatTasksOnShardRow
		rows, err = write(ctx, s, func(db DB) ([]dbgen.HeartbeatTasksOnShardRow, error) {
			return dbgen.New(db).HeartbeatTasksOnShard(ctx, group, versions)
		})
		for _, r := range rows {
			renewed[r.ID] = r.UpdatedAt
		}
	}
	return err
}

// rollbackTime is how long a ROLLBACK may take.
const rollbackTime = 5 * time.Second

// atomically runs statements in one transaction: the caller's, or one of its own. Elsewhere than on Citus one statement
// or one pipeline does that.
func (s *Store) atomically(ctx context.Context, run func(DB) error) error {
	_, err := write(ctx, s, func(db DB) (struct{}, error) {
		if s.inTransaction() {
			return struct{}{}, run(db)
		}
		_, err := db.Exec(ctx, "BEGIN")
		if err == nil {
			if err = run(db); err == nil {
				_, err = db.Exec(ctx, "COMMIT")
				return struct{}{}, err
			}
			// Also when ctx has ended; a connection on which it is not answered is closed.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
			defer cancel()
			_, _ = db.Exec(ctx, "ROLLBACK")
		}
		if statement, ok := db.(*sending); ok {
			statement.unsent = true // the COMMIT
		}
		return struct{}{}, err
	})
	return err
}

// aboutCitus adds to an error what to do if it is so since the Store was told the wrong thing about Citus.
func (s *Store) aboutCitus(err error) error {
	switch code := sqlState(err); {
	case s.citus && (code == "42P16" || code == "42883"): // invalid_table_definition, undefined_function
		return fmt.Errorf("%w; run schema/citus.sql (again), or leave WithCitus out", err)
	case !s.citus && code == "0A000": // feature_not_supported
		return fmt.Errorf("%w; if Citus distributes the table, the Store needs WithCitus", err)
	}
	return err
}

// isCutShort reports whether a statement was cancelled, or its session ended. One server has rolled it back then. On
// Citus a node may have committed it before its coordinator was told to stop.
func isCutShort(err error) bool { return strings.HasPrefix(sqlState(err), "57") }

// endTasks is FinishTasks.
func (s *Store) endTasks(ctx context.Context, db DB, to Status, l leases) ([]int64, error) {
	if s.citus {
		return dbgen.New(db).FinishTasksOnShards(ctx, int32(to), l.ids, l.versions)
	}
	return dbgen.New(db).FinishTasks(ctx, int32(to), l.ids, l.versions)
}

// failTasks is FailTasks. On Citus it is to be run by atomically.
func (s *Store) failTasks(ctx context.Context, db DB, arg failArgs) ([]int64, error) {
	if !s.citus {
		return dbgen.New(db).FailTasks(ctx, arg.Ids, arg.Versions, arg.Reasons, arg.RetryInMs)
	}
	done, err := dbgen.New(db).FinishTasksOnShards(ctx, int32(Failed), arg.Ids, arg.Versions)
	if err != nil || len(done) == 0 {
		return nil, err
	}
	ended := arg.only(done)
	return done, dbgen.New(db).NoteFailures(ctx, ended.Ids, ended.Reasons, ended.RetryInMs)
}

// deleteBelongings deletes what belongs to tasks that a transaction of atomically has deleted.
func deleteBelongings(ctx context.Context, db DB, ids []int64) error {
	q := dbgen.New(db)
	if err := q.DeleteFailuresOnShards(ctx, ids); err != nil {
		return err
	}
	keys, err := q.ListKeys(ctx, ids)
	if err != nil || len(keys) == 0 {
		return err
	}
	return q.DeleteKeys(ctx, keys, ids)
}

// deleteOnShards is DeleteTask.
func (s *Store) deleteOnShards(ctx context.Context, id int64) error {
	return s.atomically(ctx, func(db DB) error {
		if _, err := dbgen.New(db).DeleteTaskOnShard(ctx, id); err != nil {
			return err
		}
		return deleteBelongings(ctx, db, []int64{id})
	})
}

// nextOnShards is NextSlice. Keys without a task stay: one may belong to a create of which another node has not
// committed its part yet. The next create with the key takes it over.
func (s *Store) nextOnShards(ctx context.Context, first, cutoff int64) (dbgen.NextSliceRow, error) {
	return read(ctx, s, func(q *dbgen.Queries) (dbgen.NextSliceRow, error) {
		slice, err := q.NextSliceOnShards(ctx, sliceRows, cutoff, first)
		if err != nil {
			return dbgen.NextSliceRow{}, err
		}
		idle, err := q.HasIdleFailures(ctx, first, slice.Last)
		return dbgen.NextSliceRow{Last: slice.Last, Finished: slice.Finished, Orphans: idle}, err
	})
}

// deleteFinishedOnShards is DeleteFinished, shard by shard.
func (s *Store) deleteFinishedOnShards(
	ctx context.Context, first, last, cutoff int64, limit int,
) (row dbgen.DeleteFinishedRow, err error) {
	ids, err := read(ctx, s, func(q *dbgen.Queries) ([]int64, error) {
		return q.ListFinished(ctx, first, last, cutoff, int32(limit))
	})
	if err != nil {
		return row, err
	}
	row.Picked = int64(len(ids))
	if len(ids) > 0 {
		row.LastPicked = ids[len(ids)-1]
	}
	gone, err := changeListed(ctx, s, "delete", ids, len(ids), func(ids []int64) (gone []int64, err error) {
		err = s.atomically(ctx, func(db DB) (err error) {
			gone, err = dbgen.New(db).DeleteFinishedOnShard(ctx, ids, cutoff)
			if err != nil || len(gone) == 0 {
				return err
			}
			return deleteBelongings(ctx, db, gone)
		})
		if err != nil {
			return nil, err
		}
		return gone, nil
	})
	if row.Deleted = int64(len(gone)); err != nil {
		return row, err
	}
	_, err = write(ctx, s, func(db DB) (struct{}, error) {
		return struct{}{}, dbgen.New(db).DeleteIdleFailures(ctx, first, last)
	})
	return row, err
}
