package peer

import (
	"context"
	"errors"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"

	"github.com/tasklane/tasks/taskstore"
)

// gormTask is the struct of the table's document.
type gormTask struct {
	ID            int64  `gorm:"column:id;primaryKey;autoIncrement"`
	IntegrationID int64  `gorm:"column:integration_id;type:bigint;notnull;index:idx_integration_id"`
	UserID        int64  `gorm:"column:user_id;type:bigint;notnull;index:idx_user_id"`
	ClientID      int64  `gorm:"column:client_id;type:bigint;notnull;index:idx_client_id"`
	AccountID     int64  `gorm:"column:account_id;type:bigint;notnull;index:idx_account_id"`
	TemplateID    int64  `gorm:"column:template_id;type:bigint;notnull;index:idx_template_id"`
	Argument      string `gorm:"column:argument;type:text;notnull"`
	Status        int32  `gorm:"column:status;type:integer;notnull;default:0;index:idx_status"`
	CreatedAt     int64  `gorm:"column:created_at;autoCreateTime:milli"`
	UpdatedAt     int64  `gorm:"column:updated_at;autoUpdateTime:milli"`
}

func (gormTask) TableName() string { return "tasks" }

func fromNew(t taskstore.NewTask) gormTask {
	return gormTask{IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID,
		AccountID: t.AccountID, TemplateID: t.TemplateID, Argument: t.Argument}
}

// newGORM is GORM with the document's struct (but times in milliseconds, as the table has them) and
// GORM's default settings, except for the log and the size of the pool.
func newGORM(ctx context.Context, url string, conns int) (Peer, error) {
	db, err := gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return Peer{}, err
	}
	pool, err := db.DB()
	if err != nil {
		return Peer{}, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	if err := pool.PingContext(ctx); err != nil {
		return Peer{}, err
	}
	return Peer{
		Name: "gorm",
		Create: func(ctx context.Context, t taskstore.NewTask) error {
			row := fromNew(t)
			return db.WithContext(ctx).Create(&row).Error
		},
		CreateMany: func(ctx context.Context, ts []taskstore.NewTask) error {
			rows := make([]gormTask, len(ts))
			for i, t := range ts {
				rows[i] = fromNew(t)
			}
			// A statement takes 65,535 parameters, 9 a row.
			return db.WithContext(ctx).CreateInBatches(rows, 1000).Error
		},
		Get: func(ctx context.Context, id int64) (int64, error) {
			var t gormTask
			err := db.WithContext(ctx).First(&t, id).Error
			return t.ID, err
		},
		List: func(ctx context.Context, integration int64, n int) (int, error) {
			var ts []gormTask
			q := db.WithContext(ctx).Order("id DESC").Limit(n)
			if integration != 0 {
				q = q.Where("integration_id = ?", integration)
			}
			err := q.Find(&ts).Error
			return len(ts), err
		},
		Update: func(ctx context.Context, t *taskstore.Task) error {
			row := fromNew(taskstore.NewTask{IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID,
				AccountID: t.AccountID, TemplateID: t.TemplateID, Argument: t.Argument})
			row.ID, row.Status, row.CreatedAt = t.ID, int32(t.Status), int64(t.CreatedAt)
			return db.WithContext(ctx).Save(&row).Error
		},
		Claim: func(ctx context.Context, _ int) (int, error) {
			_, err := gormClaim(ctx, db)
			return one(err)
		},
		Work: func(ctx context.Context, _ int, beat bool) (int, error) {
			t, err := gormClaim(ctx, db)
			if err != nil {
				return one(err)
			}
			if beat {
				if err := db.WithContext(ctx).Model(&t).Update("updated_at", time.Now().UnixMilli()).Error; err != nil {
					return 0, err
				}
			}
			return 1, db.WithContext(ctx).Model(&t).Update("status", 2).Error
		},
		Close: func() { _ = pool.Close() },
	}, nil
}

// gormClaim is the usual way: select for update skip locked, update, one task at a time.
func gormClaim(ctx context.Context, db *gorm.DB) (t gormTask, err error) {
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		err := tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).
			Where("status = ?", 0).Order("id").First(&t).Error
		if err != nil {
			return err
		}
		return tx.Model(&t).Update("status", 1).Error
	})
	return t, err
}

// one returns how many tasks were taken. It is not an error if there was none.
func one(err error) (int, error) {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return 1, nil
}
