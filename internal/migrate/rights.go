package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// rights lists what the role lacks, and whether a run fails without it. $1 is the history's name.
const rights = `
WITH ours AS (
    SELECT oid, relname, relowner FROM pg_class
    WHERE oid IN (to_regclass('tasks'), to_regclass('task_keys'), to_regclass('task_failures'), to_regclass($1))
)
SELECT what, needed
FROM (
    SELECT 1, format('ownership of table %I (owner: %I)', relname, pg_get_userbyid(relowner)), true
    FROM ours WHERE NOT pg_has_role(relowner, 'USAGE')
    UNION ALL
    SELECT 2, format('ownership of function %s (owner: %I)', oid::regprocedure, pg_get_userbyid(proowner)), true
    FROM pg_proc WHERE oid = to_regprocedure('tasks_guard()') AND NOT pg_has_role(proowner, 'USAGE')
    UNION ALL
    SELECT 3, format('CREATE on schema %I', current_schema()), true
    WHERE NOT has_schema_privilege(current_schema(), 'CREATE')
    UNION ALL
    SELECT 4, 'USAGE on language plpgsql', true WHERE NOT has_language_privilege('plpgsql', 'USAGE')
    UNION ALL
    SELECT 5, 'pg_read_all_stats, to see what other users'' sessions do', false
    WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
) AS lacking (number, what, needed)
ORDER BY number`

// lacks lists the rights that the role lacks, and tells whether a run needs one of them.
func (m *Migrator) lacks(ctx context.Context, conn *pgx.Conn) (list []string, needed bool, err error) {
	rows, err := conn.Query(ctx, rights, quoted(m.opts.HistoryTable))
	if err != nil {
		return nil, false, err
	}
	list = []string{}
	var what string
	var fatal bool
	_, err = pgx.ForEachRow(rows, []any{&what, &fatal}, func() error {
		list, needed = append(list, what), needed || fatal
		return nil
	})
	return list, needed, err
}

// checkRights refuses a run that would fail on its way for want of a right, with all of them in one list.
func (m *Migrator) checkRights(ctx context.Context, conn *pgx.Conn) error {
	list, needed, err := m.lacks(ctx, conn)
	if err != nil {
		return asError(ctx, err)
	}
	role, what := conn.Config().User, strings.Join(list, "; ")
	if needed {
		return &Error{
			Message:  fmt.Sprintf("role %q lacks: %s; nothing was changed", role, what),
			SQLState: "42501",
			Hint:     "run it as the table's owner, or as a member of that role; schema/roles.sql makes one for migrations",
		}
	}
	if len(list) > 0 {
		m.opts.Log.Warn("the role lacks a right that a run can do without", "role", role, "right", what)
	}
	return nil
}
