package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// rights lists what the current role lacks, and whether a run fails without it. $1 is the history's name.
const rights = `
WITH ours AS (
    SELECT oid, relname, relowner FROM pg_class
    WHERE oid IN (to_regclass('tasks'), to_regclass('task_keys'), to_regclass('task_failures'), to_regclass($1))
)
SELECT current_user::text, what, needed
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
    SELECT 5, 'BYPASSRLS, to see all rows of table tasks: its row-level security binds the role', true
    FROM ours WHERE oid = to_regclass('tasks') AND row_security_active(oid)
    UNION ALL
    SELECT 6, 'pg_read_all_stats, to see what other users'' sessions do and how far standbys are', false
    WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
) AS lacking (number, what, needed)
ORDER BY number`

// right is one that the role lacks.
type right struct {
	Role, What string
	Needed     bool // a run fails without it
}

// lacks lists the rights that the role lacks.
func (m *Migrator) lacks(ctx context.Context, conn *pgx.Conn) ([]right, error) {
	rows, err := conn.Query(ctx, rights, quoted(m.opts.HistoryTable))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[right])
}

// checkRights refuses a run that would fail on its way because nothing can be written, or for want of a right, with
// all of them in one list.
func (m *Migrator) checkRights(ctx context.Context, conn *pgx.Conn) error {
	if err := refuseReadOnly(ctx, conn); err != nil {
		return err
	}
	list, err := m.lacks(ctx, conn)
	if err != nil {
		return asError(ctx, err)
	}
	if len(list) == 0 {
		return nil
	}
	var names []string
	needed := false
	for _, r := range list {
		names, needed = append(names, r.What), needed || r.Needed
	}
	if !needed {
		m.opts.Log.Warn("the role lacks a right that a run can do without",
			"role", list[0].Role, "right", strings.Join(names, "; "))
		return nil
	}
	return &Error{
		Message:  fmt.Sprintf("role %q lacks: %s; nothing was changed", list[0].Role, strings.Join(names, "; ")),
		SQLState: "42501",
		Hint:     "run it as the table's owner, or as a member of that role; schema/roles.sql makes one for migrations",
	}
}
