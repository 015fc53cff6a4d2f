package gormtest

import (
	"testing"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

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
