// Package gormtest runs the GORM program of the table's document against tables that taskmigrate has taken over and
// migrated, alone and beside the program that it becomes (docs/from-gorm.md). It is a module of its own, so that GORM
// never reaches a service that imports the store.
package gormtest

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Task is the document's struct, letter by letter.
type Task struct {
	ID            int64  `gorm:"column:id;primaryKey;autoIncrement"`
	IntegrationID int64  `gorm:"column:integration_id;type:bigint;notnull;index:idx_integration_id"`
	UserID        int64  `gorm:"column:user_id;type:bigint;notnull;index:idx_user_id"`
	ClientID      int64  `gorm:"column:client_id;type:bigint;notnull;index:idx_client_id"`
	AccountID     int64  `gorm:"column:account_id;type:bigint;notnull;index:idx_account_id"`
	TemplateID    int64  `gorm:"column:template_id;type:bigint;notnull;index:idx_template_id"`
	Argument      string `gorm:"column:argument;type:text;notnull"`
	Status        int32  `gorm:"column:status;type:integer;notnull;default:0;index:idx_status"`
	CreatedAt     int64  `gorm:"column:created_at;autoCreateTime"`
	UpdatedAt     int64  `gorm:"column:updated_at;autoUpdateTime"`
}

// gormCreate, gormList and gormWork are a service as it is written with GORM and a loop of its own.
func gormCreate(db *gorm.DB, argument string) error {
	return db.Create(&Task{
		IntegrationID: 1, UserID: 2, ClientID: 3, AccountID: 4, TemplateID: 5, Argument: argument,
	}).Error
}

func gormList(db *gorm.DB, integration int64) (tasks []Task, err error) {
	err = db.Where("integration_id = ?", integration).Order("id DESC").Limit(100).Find(&tasks).Error
	return tasks, err
}

func gormWork(ctx context.Context, db *gorm.DB, handle func(context.Context, Task) error) error {
	for ctx.Err() == nil {
		var task Task
		err := db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			free := tx.Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
			if err := free.Where("status = 0").Order("id").First(&task).Error; err != nil {
				return err
			}
			return tx.Model(&task).Update("status", 1).Error
		})
		switch {
		case errors.Is(err, gorm.ErrRecordNotFound):
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		case err != nil:
			return err
		}
		status := 2
		if handle(ctx, task) != nil {
			status = 3
		}
		if err := db.Model(&task).Update("status", status).Error; err != nil {
			return err
		}
	}
	return nil
}
