package peer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// pgxTask is a row, as people write it by hand.
type pgxTask struct {
	ID, IntegrationID, UserID, ClientID, AccountID, TemplateID int64
	Argument                                                   string
	Status                                                     int32
	CreatedAt, UpdatedAt                                       int64
}

func (t *pgxTask) scan(row pgx.Row) error {
	return row.Scan(&t.ID, &t.IntegrationID, &t.UserID, &t.ClientID, &t.AccountID, &t.TemplateID,
		&t.Argument, &t.Status, &t.CreatedAt, &t.UpdatedAt)
}

const (
	columns = `id, integration_id, user_id, client_id, account_id, template_id, argument, status, created_at, updated_at`
	version = `greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)`

	insertSQL = `INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		VALUES ($1, $2, $3, $4, $5, $6) RETURNING id, created_at, updated_at`
	getSQL    = `SELECT ` + columns + ` FROM tasks WHERE id = $1`
	listSQL   = `SELECT ` + columns + ` FROM tasks WHERE integration_id = $1 ORDER BY id DESC LIMIT $2`
	newestSQL = `SELECT ` + columns + ` FROM tasks ORDER BY id DESC LIMIT $1`
	updateSQL = `UPDATE tasks SET integration_id = $3, user_id = $4, client_id = $5, account_id = $6, template_id = $7,
		argument = $8, updated_at = ` + version + ` WHERE id = $1 AND updated_at = $2 RETURNING updated_at`
	claimSQL = `UPDATE tasks SET status = 1, updated_at = ` + version + `
		WHERE id = ANY (ARRAY(SELECT id FROM tasks WHERE status = 0 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
		RETURNING ` + columns
	beatSQL     = `UPDATE tasks SET updated_at = ` + version + ` WHERE id = ANY ($1) AND status = 1`
	completeSQL = `UPDATE tasks SET status = 2, updated_at = ` + version + ` WHERE id = ANY ($1) AND status = 1`
)

// newPGX is what a good engineer would write by hand: a pool, pgx's cache of prepared statements, COPY for
// many rows, and the same form of claim, but without low-water marks and without leases.
func newPGX(pool *pgxpool.Pool) Peer {
	claim := func(ctx context.Context, n int) ([]pgxTask, error) {
		rows, err := pool.Query(ctx, claimSQL, n)
		if err != nil {
			return nil, err
		}
		return scanAll(rows, n)
	}
	return Peer{
		Name: "pgx",
		Create: func(ctx context.Context, t taskstore.NewTask) error {
			var id, created, updated int64
			return pool.QueryRow(ctx, insertSQL, t.IntegrationID, t.UserID, t.ClientID, t.AccountID, t.TemplateID, t.Argument).
				Scan(&id, &created, &updated)
		},
		CreateMany: func(ctx context.Context, ts []taskstore.NewTask) error { // bare COPY: no ids come back
			n, err := pool.CopyFrom(ctx, pgx.Identifier{"tasks"},
				[]string{"integration_id", "user_id", "client_id", "account_id", "template_id", "argument"},
				pgx.CopyFromSlice(len(ts), func(i int) ([]any, error) {
					t := &ts[i]
					return []any{t.IntegrationID, t.UserID, t.ClientID, t.AccountID, t.TemplateID, t.Argument}, nil
				}))
			if err == nil && n != int64(len(ts)) {
				err = fmt.Errorf("copied %d of %d rows", n, len(ts))
			}
			return err
		},
		Get: func(ctx context.Context, id int64) (int64, error) {
			var t pgxTask
			err := t.scan(pool.QueryRow(ctx, getSQL, id))
			return t.ID, err
		},
		List: func(ctx context.Context, integration int64, n int) (int, error) {
			sql, args := listSQL, []any{integration, n}
			if integration == 0 {
				sql, args = newestSQL, []any{n}
			}
			rows, err := pool.Query(ctx, sql, args...)
			if err != nil {
				return 0, err
			}
			ts, err := scanAll(rows, n)
			return len(ts), err
		},
		Update: func(ctx context.Context, t *taskstore.Task) error {
			return pool.QueryRow(ctx, updateSQL, t.ID, int64(t.UpdatedAt), t.IntegrationID, t.UserID, t.ClientID,
				t.AccountID, t.TemplateID, t.Argument).Scan((*int64)(&t.UpdatedAt))
		},
		Claim: func(ctx context.Context, n int) (int, error) {
			ts, err := claim(ctx, n)
			return len(ts), err
		},
		Complete: func(ctx context.Context, t taskstore.Task) error {
			_, err := pool.Exec(ctx, completeSQL, []int64{t.ID})
			return err
		},
		Work: func(ctx context.Context, n int, beat bool) (int, error) {
			ts, err := claim(ctx, n)
			if err != nil || len(ts) == 0 {
				return 0, err
			}
			ids := make([]int64, len(ts))
			for i := range ts {
				ids[i] = ts[i].ID
			}
			if beat {
				if _, err := pool.Exec(ctx, beatSQL, ids); err != nil {
					return 0, err
				}
			}
			tag, err := pool.Exec(ctx, completeSQL, ids)
			return int(tag.RowsAffected()), err
		},
		Close: func() {}, // taskstore closes the pool
	}
}

func scanAll(rows pgx.Rows, n int) ([]pgxTask, error) {
	defer rows.Close()
	ts := make([]pgxTask, 0, n)
	for rows.Next() {
		var t pgxTask
		if err := t.scan(rows); err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	return ts, rows.Err()
}
