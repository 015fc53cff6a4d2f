package peer

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"

	"github.com/tasklane/tasks/taskstore"
)

type bunTask struct {
	bun.BaseModel `bun:"table:tasks"`

	ID            int64 `bun:",pk,autoincrement"`
	IntegrationID int64
	UserID        int64
	ClientID      int64
	AccountID     int64
	TemplateID    int64
	Argument      string
	Status        int32 `bun:",nullzero,default:0"`
	CreatedAt     int64 `bun:",nullzero,default:0"`
	UpdatedAt     int64 `bun:",nullzero,default:0"`
}

func bunNew(t taskstore.NewTask) bunTask {
	return bunTask{IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID,
		AccountID: t.AccountID, TemplateID: t.TemplateID, Argument: t.Argument}
}

// newBun is bun over pgx. bun writes the values into the query's text, so its documentation recommends
// pgx's simple protocol.
func newBun(url string, conns int) (Peer, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return Peer{}, err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	db := bun.NewDB(pool, pgdialect.New())
	return bunPeer(db, pool), nil
}

func bunPeer(db *bun.DB, pool *sql.DB) Peer {
	claim := func(ctx context.Context, n int) (ts []bunTask, err error) {
		old := db.NewSelect().Model((*bunTask)(nil)).Column("id").
			Where("status = 0").Order("id").Limit(int64(n)).For("UPDATE SKIP LOCKED")
		err = db.NewUpdate().Model((*bunTask)(nil)).Set("status = 1").Set("updated_at = ?", time.Now().UnixMilli()).
			Where("id = ANY (ARRAY(?))", old).Returning("*").Scan(ctx, &ts)
		return ts, err
	}
	finish := func(ctx context.Context, ts []bunTask, set string, args ...any) (int, error) {
		ids := make([]int64, len(ts))
		for i, t := range ts {
			ids[i] = t.ID
		}
		res, err := db.NewUpdate().Model((*bunTask)(nil)).Set(set, args...).
			Where("id IN (?)", bun.List(ids)).Where("status = 1").Exec(ctx)
		if err != nil {
			return 0, err
		}
		n, err := res.RowsAffected()
		return int(n), err
	}
	return Peer{
		Name: "bun",
		Create: func(ctx context.Context, t taskstore.NewTask) error {
			row := bunNew(t)
			_, err := db.NewInsert().Model(&row).Exec(ctx)
			return err
		},
		CreateMany: func(ctx context.Context, ts []taskstore.NewTask) error {
			for len(ts) > 0 {
				n := min(len(ts), 1000)
				rows := make([]bunTask, n)
				for i := range rows {
					rows[i] = bunNew(ts[i])
				}
				if _, err := db.NewInsert().Model(&rows).Exec(ctx); err != nil {
					return err
				}
				ts = ts[n:]
			}
			return nil
		},
		Get: func(ctx context.Context, id int64) (int64, error) {
			var t bunTask
			err := db.NewSelect().Model(&t).Where("id = ?", id).Scan(ctx)
			return t.ID, err
		},
		List: func(ctx context.Context, integration int64, n int) (int, error) {
			var ts []bunTask
			q := db.NewSelect().Model(&ts).Order("id DESC").Limit(int64(n))
			if integration != 0 {
				q = q.Where("integration_id = ?", integration)
			}
			err := q.Scan(ctx)
			return len(ts), err
		},
		Update: func(ctx context.Context, t *taskstore.Task) error {
			row := bunTask{ID: t.ID, IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID,
				AccountID: t.AccountID, TemplateID: t.TemplateID, Argument: t.Argument, UpdatedAt: time.Now().UnixMilli()}
			res, err := db.NewUpdate().Model(&row).ExcludeColumn("status", "created_at").WherePK().Exec(ctx)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return fmt.Errorf("updated %d rows: %w", n, err)
			}
			return nil
		},
		Claim: func(ctx context.Context, n int) (int, error) {
			ts, err := claim(ctx, n)
			return len(ts), err
		},
		Work: func(ctx context.Context, n int, beat bool) (int, error) {
			ts, err := claim(ctx, n)
			if err != nil || len(ts) == 0 {
				return 0, err
			}
			if beat {
				if _, err := finish(ctx, ts, "updated_at = ?", time.Now().UnixMilli()); err != nil {
					return 0, err
				}
			}
			return finish(ctx, ts, "status = 2, updated_at = ?", time.Now().UnixMilli())
		},
		Close: func() { _ = pool.Close() },
	}
}
