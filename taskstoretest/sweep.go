package taskstoretest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// keep is for how long a failed test's database, and a template that nobody uses, stay on a server of yours.
const keep = 24 * time.Hour

// usedPrefix begins a template's comment; the second of its last use follows.
const usedPrefix = "taskstoretest: last used at "

// markUsed notes on the template that it is in use, so that no sweep takes it for stale.
func markUsed(ctx context.Context, conn *pgx.Conn, template string, now time.Time) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("COMMENT ON DATABASE %s IS '%s%d'", quote(template), usedPrefix, now.Unix()))
	return err
}

// sweep removes what test binaries left behind that were killed or that failed: databases of this role whose
// name is ours, that nobody is connected to, and that are older than a day. Templates of other
// migrations go when they were not used for a day: another branch's tests may need them until then.
func sweep(ctx context.Context, conn *pgx.Conn, now time.Time) error {
	rows, err := conn.Query(ctx, `
		SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '')
		FROM pg_database
		WHERE datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)
		  AND (datname LIKE 'taskstore\_test\_%' OR datname LIKE 'taskstore\_template\_%')
		  AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = pg_database.oid)`)
	if err != nil {
		return fmt.Errorf("look for old databases: %w", err)
	}
	var old []string
	var name, comment string
	_, err = pgx.ForEachRow(rows, []any{&name, &comment}, func() error {
		if last, ok := lastUse(name, comment); ok && now.Sub(last) > keep {
			old = append(old, name)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for old databases: %w", err)
	}
	for _, name := range old {
		// Without FORCE: whoever has connected meanwhile keeps it.
		_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name))
		if err != nil && !hasCode(err, databaseInUse) {
			return fmt.Errorf("remove old database %s: %w", name, err)
		}
	}
	return nil
}

// lastUse reads when a test's database was made and when a template was last used. It is not ok where
// the name or the comment is not of our making.
func lastUse(name, comment string) (last time.Time, ok bool) {
	second, isTest := strings.CutPrefix(name, "taskstore_test_")
	if isTest {
		second, _, ok = strings.Cut(second, "_")
	} else if strings.HasPrefix(name, templatePrefix) {
		second, ok = strings.CutPrefix(comment, usedPrefix)
	}
	unix, err := strconv.ParseInt(second, 10, 64)
	return time.Unix(unix, 0), ok && err == nil
}
