package schema

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that goose uses
	"github.com/pressly/goose/v3"

	"github.com/tasklane/tasks/internal/migrate"
	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/schema"
	"github.com/tasklane/tasks/taskstore"
)

// plainGoose is goose itself on the test's database: the migrations are its files and nothing more.
func plainGoose(t *testing.T, b *storetest.Bundle) *goose.Provider {
	t.Helper()
	db, err := sql.Open("pgx", b.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	provider, err := goose.NewProvider(goose.DialectPostgres, db, schema.FS,
		goose.WithTableName(migrate.HistoryTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	return provider
}

// upTo, upToNewest and downTo migrate, and fail the test unless all went well.
func upTo(t *testing.T, p *goose.Provider, version int64) {
	t.Helper()
	if _, err := p.UpTo(t.Context(), version); err != nil {
		t.Fatalf("up to %d: %v", version, err)
	}
}

func upToNewest(t *testing.T, p *goose.Provider) {
	t.Helper()
	upTo(t, p, int64(len(p.ListSources())))
}

func downTo(t *testing.T, p *goose.Provider, version int64) {
	t.Helper()
	if _, err := p.DownTo(t.Context(), version); err != nil {
		t.Fatalf("down to %d: %v", version, err)
	}
}

// sameSchema fails the test with the lines in which two snapshots differ.
func sameSchema(t *testing.T, what string, got, want []string) {
	t.Helper()
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("%s: there is also\n%s", what, line)
		}
	}
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("%s: missing is\n%s", what, line)
		}
	}
}

// Each migration's Down leaves the schema as its Up found it, and Up again as it was.
func TestEachMigrationDownAndUpAgain(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	migrated := snapshot(t, b.Pool)
	p := plainGoose(t, b)
	sources := p.ListSources()
	downTo(t, p, 0)
	if left := snapshot(t, b.Pool); len(left) != 0 {
		t.Fatalf("after all Downs there is still\n%s", strings.Join(left, "\n"))
	}

	before := snapshot(t, b.Pool)
	for i, source := range sources {
		if want := int64(i + 1); source.Version != want {
			t.Fatalf("%s has version %d, want %d: no gaps", source.Path, source.Version, want)
		}
		upTo(t, p, source.Version)
		after := snapshot(t, b.Pool)
		downTo(t, p, source.Version-1)
		sameSchema(t, "down of "+source.Path, snapshot(t, b.Pool), before)
		upTo(t, p, source.Version)
		sameSchema(t, "up again of "+source.Path, snapshot(t, b.Pool), after)
		before = after
	}
	sameSchema(t, "all migrations one by one", before, migrated)
}

// The same with rows in the table. Only the first migration's Down loses any.
func TestMigrationsKeepTheRows(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := plainGoose(t, b)
	for _, st := range storetest.Statuses {
		b.In(t, st)
	}
	rows := storetest.Stored(t, b.Pool)
	for version := int64(len(p.ListSources())) - 1; version >= 1; version-- {
		downTo(t, p, version)
		if got := storetest.Stored(t, b.Pool); !slices.Equal(got, rows) {
			t.Errorf("down to %d left %+v", version, got)
		}
		upToNewest(t, p)
		if got := storetest.Stored(t, b.Pool); !slices.Equal(got, rows) {
			t.Errorf("up from %d left %+v", version, got)
		}
	}
}

// A table as GORM leaves it: times in seconds, NULL and worse, and neither NOT NULL nor defaults.
func TestMigrationsRepairAForeignTable(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	p := plainGoose(t, b)
	migrated := snapshot(t, b.Pool)
	downTo(t, p, 1)
	b.Exec(t, `
		ALTER TABLE tasks
			ALTER created_at DROP NOT NULL, ALTER created_at DROP DEFAULT,
			ALTER updated_at DROP NOT NULL, ALTER updated_at DROP DEFAULT`)
	b.Exec(t, `DROP INDEX idx_user_id`)
	const keep = 17 // a row whose times were right already
	for i, bad := range badTimes(version) {
		b.Exec(t, `
			INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
			VALUES ($1, 1, 1, 1, 1, 1, '', $2, $2)`, 100+i, bad.value)
	}
	b.Exec(t, `
		INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument, created_at, updated_at)
		VALUES ($1, 1, 1, 1, 1, 1, '', $2, $3)`, keep, int64(born), int64(version))

	upToNewest(t, p)
	sameSchema(t, "a repaired table", snapshot(t, b.Pool), migrated)
	now := b.Now(t)
	for i, bad := range badTimes(version) {
		row := storetest.StoredTask(t, b.Pool, int64(100+i))
		for column, got := range map[string]taskstore.Millis{"created_at": row.CreatedAt, "updated_at": row.UpdatedAt} {
			if !sound(got) || got > now || bad.means != 0 && got != bad.means {
				t.Errorf("%s in %s became %d, want %d, or now in place of 0", bad.name, column, got, bad.means)
			}
		}
		if _, err := b.Store.Update(t.Context(), row); err != nil {
			t.Errorf("%s: %v", bad.name, err)
		}
	}
	if row := storetest.StoredTask(t, b.Pool, keep); row.CreatedAt != born || row.UpdatedAt != version {
		t.Errorf("the backfill touched a sound row: %+v", row)
	}
}
