package taskstoretest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// keep is how long a failed test's database, or a template that nobody uses, stays on the user's server.
const keep = 24 * time.Hour

// usedPrefix begins a template's comment. The Unix time of its last use follows.
const usedPrefix = "taskstoretest: last used at "

// markUsed notes in the template's comment that it is in use, so that no sweep removes it.
func markUsed(ctx context.Context, conn *pgx.Conn, template string, now time.Time) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("COMMENT ON DATABASE %s IS '%s%d'", quote(template), usedPrefix, now.Unix()))
	return err
}

// sweep removes what killed and failed test binaries left behind: databases with one of our names that belong
// to this role, that nobody is connected to, and that are older than a day. It also removes templates
// that were not used for a day. Until then another branch's tests, with other migrations, may need them.
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
		// Without FORCE, so that a database to which somebody has just connected stays.
		_, err := conn.Exec(ctx, "DROP DATABASE IF EXISTS "+quote(name))
		if err != nil && !hasCode(err, databaseInUse) {
			return fmt.Errorf("remove old database %s: %w", name, err)
		}
	}
	return nil
}

// lastUse reads when a test's database was made, or when a template was last used. It is not ok if we did
// not write the name or the comment.
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
