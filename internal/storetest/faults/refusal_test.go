package faults

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// Upkeep passes by tasks that a constraint or trigger of somebody else does not let be changed, and deals with all
// others, as claims do.
func TestUpkeepPassesByWhatRefuses(t *testing.T) {
	t.Parallel()
	const n = 20
	refusals := map[string][]string{
		"23514": {houseRule},
		"P0001": {
			refuse, `CREATE TRIGGER refuse BEFORE UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION refuse()`,
		},
	}
	for name, upkeep := range map[string]struct {
		status taskstore.Status
		run    func(s *taskstore.Store) (done int, err error)
	}{
		"RequeueStale": {taskstore.Processing, func(s *taskstore.Store) (int, error) {
			ids, err := s.RequeueStale(t.Context(), taskstore.Filter{}, time.Hour, n)
			return len(ids), err
		}},
		"RetryDue": {taskstore.Failed, func(s *taskstore.Store) (int, error) {
			ids, err := s.RetryDue(t.Context(), taskstore.Filter{}, n)
			return len(ids), err
		}},
		"DeleteFinished": {taskstore.Completed, func(s *taskstore.Store) (int, error) {
			deleted, err := s.DeleteFinished(t.Context(), storetest.Cutoff, n)
			return int(deleted), err
		}},
	} {
		for code, rules := range refusals {
			if name == "DeleteFinished" && code == "23514" {
				continue // a delete breaks no CHECK
			}
			t.Run(name+" "+code, func(t *testing.T) {
				t.Parallel()
				b := storetest.Setup(t)
				b.History(t, n, upkeep.status, storetest.LongAgo)
				rows := storetest.Stored(t, b.Admin)
				poisonous := []int64{rows[2].ID, rows[3].ID, rows[16].ID}
				b.Exec(t, `UPDATE tasks SET argument = 'poison', updated_at = updated_at + 1 WHERE id = ANY ($1)`, poisonous)
				b.Exec(t, `INSERT INTO task_failures SELECT id, 1, '', 1, id FROM tasks WHERE status = 3`)
				before := storetest.Stored(t, b.Admin)
				for _, rule := range rules {
					b.Exec(t, rule)
				}

				tx := b.Begin(t, pgx.ReadCommitted)
				if _, err := upkeep.run(b.Store.WithTx(tx)); storetest.SQLState(err) != code {
					t.Errorf("in a transaction: %v", err)
				}
				if err := tx.Rollback(t.Context()); err != nil {
					t.Fatal(err)
				}

				var log bytes.Buffer
				s := storetest.NewStore(b.Pool, taskstore.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))))
				if done, err := upkeep.run(s); done != n-len(poisonous) || err != nil {
					t.Errorf("did %d of %d tasks, %v", done, n-len(poisonous), err)
				}
				now := storetest.Stored(t, b.Admin)
				for _, task := range before {
					if kept := slices.Contains(now, task); kept != slices.Contains(poisonous, task.ID) {
						t.Errorf("task %d is unchanged: %v", task.ID, kept)
					}
				}
				var logged []int64
				for line := range bytes.Lines(log.Bytes()) {
					var entry struct{ Task int64 }
					if err := json.Unmarshal(line, &entry); err != nil {
						t.Fatal(err)
					}
					logged = append(logged, entry.Task)
				}
				storetest.WantIDs(t, "logged", logged, poisonous...)
				if done, err := upkeep.run(s); done != 0 || err != nil {
					t.Errorf("again: did %d tasks, %v", done, err)
				}
			})
		}
	}
}
