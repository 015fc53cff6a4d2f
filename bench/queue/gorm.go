package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

// gormTask is the struct of the table's document.
type gormTask struct {
	ID            int64 `gorm:"primaryKey"`
	IntegrationID int64
	UserID        int64
	ClientID      int64
	AccountID     int64
	TemplateID    int64
	Argument      string
	Status        int32
	CreatedAt     int64 `gorm:"autoCreateTime:milli"`
	UpdatedAt     int64 `gorm:"autoUpdateTime:milli"`
}

func (gormTask) TableName() string { return "tasks" }

// gormPeer is what is often written by hand over our table: each goroutine takes a task by SELECT FOR UPDATE SKIP
// LOCKED and an UPDATE, handles it, and updates it again.
type gormPeer struct {
	url string
	db  *gorm.DB
}

func newGORM(url string) (*gormPeer, error) {
	db, err := gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	return &gormPeer{url, db}, nil
}

func (p *gormPeer) migrate(ctx context.Context) error {
	pool, err := pgxpool.New(ctx, p.url)
	if err != nil {
		return err
	}
	defer pool.Close()
	return migrateTasks(ctx, pool)
}

func (p *gormPeer) enqueue(ctx context.Context, payloads []string) error {
	rows := make([]gormTask, len(payloads))
	for i, t := range newTasks(payloads) {
		rows[i] = gormTask{IntegrationID: t.IntegrationID, UserID: t.UserID, ClientID: t.ClientID,
			AccountID: t.AccountID, TemplateID: t.TemplateID, Argument: t.Argument}
	}
	return p.db.WithContext(ctx).Create(&rows).Error
}

// handWrittenPause is what a goroutine waits when there is nothing to do.
const handWrittenPause = 100 * time.Millisecond

func (p *gormPeer) work(ctx context.Context, handlers int, _ string, handle func(string)) (func() error, error) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	errs := make(chan error, handlers)
	for range handlers {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := p.one(ctx, handle)
				if errors.Is(err, gorm.ErrRecordNotFound) {
					time.Sleep(handWrittenPause)
				} else if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	return func() error {
		close(stop)
		all.Wait()
		close(errs)
		return <-errs
	}, nil
}

func (p *gormPeer) one(ctx context.Context, handle func(string)) error {
	db := p.db.WithContext(ctx)
	var t gormTask
	err := db.Transaction(func(tx *gorm.DB) error {
		err := tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"}).
			Where("status = ?", 0).Order("id").First(&t).Error
		if err != nil {
			return err
		}
		return tx.Model(&t).Update("status", 1).Error
	})
	if err != nil {
		return err
	}
	handle(t.Argument)
	return db.Model(&t).Update("status", 2).Error
}
