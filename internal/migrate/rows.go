package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// soundTimes and soundRow are what the back-fill and the constraints of later migrations ask of a row.
const (
	soundTimes = `(created_at BETWEEN 100000000000 AND 99999999999999
    AND updated_at BETWEEN 100000000000 AND 99999999999999)`
	soundRow = `(status BETWEEN 0 AND 3 AND integration_id IS NOT NULL AND user_id IS NOT NULL
    AND client_id IS NOT NULL AND account_id IS NOT NULL AND template_id IS NOT NULL AND argument IS NOT NULL)`
)

// mendedBy has the migrations that put right what judgeRows finds, by the kind of finding.
var mendedBy = map[string]int64{catalog.Sequence: 5, "data": 7}

// judgeRows reads the table once and reports the rows that later migrations convert or refuse. All rows count:
// where row-level security hides some, that is the finding.
func judgeRows(ctx context.Context, conn *pgx.Conn) ([]catalog.Finding, error) {
	var hidden bool
	if err := conn.QueryRow(ctx, `SELECT row_security_active('tasks')`).Scan(&hidden); err != nil {
		return nil, err
	}
	if hidden {
		return []catalog.Finding{{
			Kind: "data", Object: "tasks", Severity: catalog.Block,
			Expected: "every row can be seen", Actual: "row-level security hides rows from this role",
			Cause: "nobody knows whether the hidden rows are sound; work as a role with BYPASSRLS, " +
				"or as the owner without FORCE ROW LEVEL SECURITY",
		}}, nil
	}
	var times, broken int64
	err := conn.QueryRow(ctx, `
SELECT count(*) FILTER (WHERE `+soundTimes+` IS NOT TRUE), count(*) FILTER (WHERE `+soundRow+` IS NOT TRUE)
FROM tasks`).Scan(&times, &broken)
	if err != nil {
		return nil, err
	}
	list, err := judgeSequence(ctx, conn)
	if err != nil {
		return nil, err
	}
	if times > 0 {
		cause := "GORM's autoCreateTime and autoUpdateTime write seconds; `taskmigrate up` converts them"
		var triggers string
		if err := conn.QueryRow(ctx, triggersOfBackfill).Scan(&triggers); err != nil {
			return nil, err
		}
		if triggers != "" {
			cause += "; for each of these rows fire, too: " + triggers +
				" (one that sets updated_at loses the old time; ALTER TABLE tasks DISABLE TRIGGER prevents it)"
		}
		list = append(list, catalog.Finding{
			Kind: "data", Object: "tasks.created_at, tasks.updated_at", Severity: catalog.Repair,
			Expected: "milliseconds", Actual: fmt.Sprintf("%d rows with seconds, NULL or another unit", times),
			Cause: cause,
		})
	}
	if broken == 0 {
		return list, nil
	}
	rows, err := conn.Query(ctx, `SELECT id::text FROM tasks WHERE `+soundRow+` IS NOT TRUE ORDER BY id LIMIT 20`)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	return append(list, catalog.Finding{
		Kind: "data", Object: "tasks", Severity: catalog.Block,
		Expected: "a status of 0, 1, 2 or 3 and no NULL",
		Actual:   fmt.Sprintf("%d rows, the first ids %s", broken, strings.Join(ids, ", ")),
		Cause: "correct or delete them: a constraint of `taskmigrate up` would refuse each update of such a row, " +
			"heartbeats included",
	}), nil
}

// triggersOfBackfill names the triggers of others that fire when the back-fill sets updated_at.
const triggersOfBackfill = `
SELECT coalesce(string_agg(quote_ident(tgname), ', ' ORDER BY tgname), '')
FROM pg_trigger JOIN pg_attribute ON attrelid = tgrelid AND attname = 'updated_at'
WHERE tgrelid = 'tasks'::regclass AND NOT tgisinternal AND tgname NOT LIKE 'tasks\_guard\_%'
    AND tgenabled IN ('O', 'A') AND tgtype & 16 > 0 -- on UPDATE
    AND (tgattr = '' OR attnum = ANY (tgattr))`

// judgeSequence reports a sequence that would give an id which a row has already, and one that has hardly an id left.
// One that is not the column's own, or that the role may not read, is not looked at.
func judgeSequence(ctx context.Context, conn *pgx.Conn) ([]catalog.Finding, error) {
	var sequence string // quoted, by the server
	err := conn.QueryRow(ctx, `
SELECT seqrelid::regclass::text FROM pg_sequence
WHERE seqrelid = pg_get_serial_sequence('tasks', 'id')::regclass AND seqincrement > 0
    AND has_sequence_privilege(seqrelid, 'SELECT')`).Scan(&sequence)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// ahead is what 00005_restore_defaults.sql sets the sequence to.
	var newest, next, ahead string
	var behind, ends bool
	err = conn.QueryRow(ctx, `
SELECT newest::text, next::text, (last_value + ceil((newest - last_value) / seqincrement) * seqincrement)::text,
    newest >= next, greatest(newest, next) > seqmax - 1000000000
FROM (SELECT coalesce(max(id), 0)::numeric FROM tasks) AS rows (newest), (
    SELECT last_value, seqincrement, seqmax,
        last_value + CASE WHEN is_called THEN seqincrement::numeric ELSE 0 END AS next
    FROM `+sequence+`, pg_sequence WHERE seqrelid = $1::regclass) AS own`, sequence).
		Scan(&newest, &next, &ahead, &behind, &ends)
	switch {
	case err != nil:
		return nil, err
	case ends:
		return []catalog.Finding{{
			Kind: catalog.Sequence, Object: "tasks.id", Severity: catalog.Block,
			Expected: "ids for the tasks to come",
			Actual:   fmt.Sprintf("the newest id is %s, and %s gives %s next", newest, sequence, next),
			Cause: "inserts fail where no id is left; delete the rows at the end or give them lower ids, and have " +
				"the sequence go on behind the others, by setval",
		}}, nil
	case behind:
		return []catalog.Finding{{
			Kind: catalog.Sequence, Object: "tasks.id", Severity: catalog.Repair,
			Expected: "a sequence ahead of the newest id, " + newest,
			Actual:   sequence + " gives " + next + " next",
			Cause: "rows were copied in with their ids; " +
				"SELECT setval(pg_get_serial_sequence('tasks', 'id'), " + ahead + ")",
		}}, nil
	}
	return nil, nil
}
