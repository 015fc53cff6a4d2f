// Package gormtest runs the GORM program of the table's document against tables that taskmigrate has taken
// over and migrated. It is a module of its own, so that GORM never reaches a service that imports the store.
package gormtest

import (
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
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

// open connects GORM as a service would.
func open(t *testing.T, url string) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(postgres.Open(url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if pool, err := db.DB(); err == nil {
			_ = pool.Close()
		}
	})
	return db
}

func autoMigrate(t *testing.T, url string) {
	t.Helper()
	if err := open(t, url).AutoMigrate(&Task{}); err != nil {
		t.Fatal(err)
	}
}

// migrator returns what taskmigrate would use on that database.
func migrator(t *testing.T, url string) *migrate.Migrator {
	t.Helper()
	m, err := migrate.New(url, migrate.Defaults())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// column returns the values of an expression for all tasks in the order of their ids, separated by commas.
func column(t *testing.T, url, expression string) string {
	t.Helper()
	return dbtest.Value[string](t, url,
		`SELECT coalesce(string_agg((`+expression+`)::text, ',' ORDER BY id), '') FROM tasks`)
}
