package taskstore

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/dbgen"
)

// createKeyedOnShards is createKeyed. The key is kept with the id of its task, which is stored only if it is not there:
// the order matters, since what one transaction writes on two nodes does not become visible at one moment. Whoever
// sees the key and not the task waits for it here, or stores it if somebody else has deleted it. The lock of the key
// keeps the task from being deleted with it until it has been read.
func (s *Store) createKeyedOnShards(ctx context.Context, t NewTask) (stored Task, err error) {
	for {
		err = s.atomically(ctx, func(db DB) error {
			id, err := dbgen.New(db).KeepKey(ctx, t.Key)
			if err != nil {
				return err
			}
			if stored, err = storeKeyed(ctx, db, id, t); errors.Is(err, pgx.ErrNoRows) {
				stored, err = dbgen.New(db).GetTask(ctx, id)
			}
			return err
		})
		if !errors.Is(err, pgx.ErrNoRows) || s.inTransaction() {
			return stored, err
		}
	}
}

// storeKeyed stores a task whose id has been kept, unless it is there: that is pgx.ErrNoRows.
func storeKeyed(ctx context.Context, db DB, id int64, t NewTask) (Task, error) {
	return dbgen.New(db).StoreKeyedTask(ctx, dbgen.StoreKeyedTaskParams{
		ID: id, IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID, AccountID: t.AccountID,
		TemplateID: t.TemplateID, Argument: t.Argument,
	})
}

// insertOnShards creates tasks with ids drawn beforehand, by COPY. INSERT … SELECT asks all shards, one after the
// other.
func (s *Store) insertOnShards(ctx context.Context, ts []NewTask) ([]int64, error) {
	drawn, err := read(ctx, s, func(q *dbgen.Queries) (dbgen.ReserveIDsRow, error) {
		return q.ReserveIDs(ctx, int32(len(ts)))
	})
	if err != nil {
		return nil, err
	}
	if columnsOf(ts).keys == nil {
		_, err := write(ctx, s, func(db DB) (int64, error) { return copyTasks(ctx, db, drawn.Ids, ts, drawn.NowMs) })
		if sqlState(err) == "XX000" && !s.inTransaction() { // what a node refuses in a COPY comes without its code
			return s.insertAtOnce(ctx, ts)
		}
		return drawn.Ids, err
	}
	ids := slices.Clone(drawn.Ids)
	err = s.atomically(ctx, func(db DB) error {
		copy(ids, drawn.Ids) // when it is tried again
		return keepKeys(ctx, db, ids, ts, drawn.NowMs)
	})
	return ids, err
}

// keepKeys stores tasks of which some have a key, and replaces the ids of those whose key is taken.
func keepKeys(ctx context.Context, db DB, ids []int64, ts []NewTask, now int64) error {
	first := make(map[string]int) // the first task with a key
	var keys []string
	for i, t := range ts {
		if _, seen := first[t.Key]; t.Key != "" && !seen {
			first[t.Key] = i
			keys = append(keys, t.Key)
		}
	}
	slices.Sort(keys) // so that two batches do not deadlock
	wanted := make([]int64, len(keys))
	for i, key := range keys {
		wanted[i] = ids[first[key]]
	}
	q := dbgen.New(db)
	kept, err := q.KeepKeys(ctx, keys, wanted)
	if err != nil {
		return err
	}
	of := make(map[string]int64, len(kept))
	taken := make(map[int64]int) // ids of tasks that others have created, and which of ts is the same
	for _, k := range kept {
		of[k.Key] = k.TaskID
		if i := first[k.Key]; k.TaskID != ids[i] {
			taken[k.TaskID] = i
		}
	}
	var newIDs []int64
	var news []NewTask
	for i, t := range ts {
		if t.Key == "" || of[t.Key] == ids[i] {
			newIDs, news = append(newIDs, ids[i]), append(news, t)
		} else {
			ids[i] = of[t.Key]
		}
	}
	if err := storeMissing(ctx, db, taken, ts); err != nil {
		return err
	}
	if len(news) == 0 {
		return nil
	}
	_, err = copyTasks(ctx, db, newIDs, news, now)
	return err
}

// storeMissing stores tasks whose key was taken, and whose task has been deleted since, or is not visible yet.
func storeMissing(ctx context.Context, db DB, taken map[int64]int, ts []NewTask) error {
	if len(taken) == 0 {
		return nil
	}
	ids := make([]int64, 0, len(taken))
	for id := range taken {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	there, err := dbgen.New(db).ListThere(ctx, ids)
	for _, id := range ids {
		if err == nil && !slices.Contains(there, id) {
			if _, err = storeKeyed(ctx, db, id, ts[taken[id]]); errors.Is(err, pgx.ErrNoRows) {
				err = nil
			}
		}
	}
	return err
}

// copyTasks stores tasks with those ids by COPY.
func copyTasks(ctx context.Context, db DB, ids []int64, ts []NewTask, now int64) (int64, error) {
	columns := []string{
		"id", "integration_id", "user_id", "client_id", "account_id", "template_id", "argument", "created_at", "updated_at",
	}
	return db.CopyFrom(ctx, pgx.Identifier{"tasks"}, columns, pgx.CopyFromSlice(len(ts), func(i int) ([]any, error) {
		t := ts[i]
		return []any{
			ids[i], t.IntegrationID, t.UserID, t.ClientID, t.AccountID, t.TemplateID, t.Argument, now, now,
		}, nil
	}))
}
