package migrate

import (
	"context"
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

// judgeRows reads the table once and reports the rows that later migrations convert or refuse.
func judgeRows(ctx context.Context, conn *pgx.Conn) ([]catalog.Finding, error) {
	var times, broken int64
	err := conn.QueryRow(ctx, `
SELECT count(*) FILTER (WHERE `+soundTimes+` IS NOT TRUE), count(*) FILTER (WHERE `+soundRow+` IS NOT TRUE)
FROM tasks`).Scan(&times, &broken)
	if err != nil {
		return nil, err
	}
	var list []catalog.Finding
	if times > 0 {
		list = append(list, catalog.Finding{
			Kind: "data", Object: "tasks.created_at, tasks.updated_at", Severity: catalog.Repair,
			Expected: "milliseconds", Actual: fmt.Sprintf("%d rows with seconds, NULL or another unit", times),
			Cause: "GORM's autoCreateTime and autoUpdateTime write seconds; `taskmigrate up` converts them",
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
		Kind: "data", Object: "tasks", Severity: catalog.Repair,
		Expected: "a status of 0, 1, 2 or 3 and no NULL",
		Actual:   fmt.Sprintf("%d rows, the first ids %s", broken, strings.Join(ids, ", ")),
		Cause: "correct or delete them: `taskmigrate up` stops at 00008_validate_checks.sql and names them, " +
			"and changes no row",
	}), nil
}
