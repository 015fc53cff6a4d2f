package race

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// auditTable is what audit_tasks writes. Its number is drawn while the row is locked, so that it orders the changes of
// each task.
const auditTable = `
CREATE TABLE audit (
    seq         bigserial,
    program     text NOT NULL,
    call        bigint NOT NULL,
    task        bigint NOT NULL,
    old_status  integer,
    new_status  integer,
    old_version bigint,
    new_version bigint
);
GRANT INSERT ON audit TO PUBLIC;
GRANT USAGE ON SEQUENCE audit_seq_seq TO PUBLIC;`

// auditTasks writes down every change of a row with the program and the call that made it.
const auditTasks = auditTable + `
CREATE FUNCTION audit_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (program, call, task, old_status, new_status, old_version, new_version)
    VALUES (current_setting('application_name'), coalesce(nullif(current_setting('race.call', true), ''), '0')::bigint,
        coalesce(NEW.id, OLD.id), OLD.status, NEW.status, OLD.updated_at, NEW.updated_at);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_tasks AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION audit_tasks();`

// audited is a change of a row that was there.
type audited struct {
	program              string
	call                 int64
	task                 int64
	oldStatus, newStatus taskstore.Status
	oldVersion           taskstore.Millis
	newVersion           taskstore.Millis
}

func (c audited) isClaim() bool {
	return c.oldStatus == taskstore.Pending && c.newStatus == taskstore.Processing
}

func readAudit(t *testing.T, b *storetest.Bundle) []audited {
	t.Helper()
	rows, err := b.Pool.Query(t.Context(), `
		SELECT program, call, task, old_status, new_status, old_version, new_version
		FROM audit WHERE old_status IS NOT NULL AND new_status IS NOT NULL ORDER BY seq`)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c audited, err error) {
		var status [2]int32
		var version [2]int64
		err = row.Scan(&c.program, &c.call, &c.task, &status[0], &status[1], &version[0], &version[1])
		c.oldStatus, c.newStatus = taskstore.Status(status[0]), taskstore.Status(status[1])
		c.oldVersion, c.newVersion = taskstore.Millis(version[0]), taskstore.Millis(version[1])
		return c, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

// auditRules are what the audit must not hold, each a query of its exceptions. Programs are the store,
// the foreign writers and the operator.
var auditRules = []struct{ rule, exceptions string }{
	{"every version rises, but for a foreign write that leaves a task in processing, and its lease alive", `
		SELECT format('task %s, change %s of %s: %s to %s', task, seq, program, old_version, new_version) FROM audit
		WHERE old_status IS NOT NULL AND NOT (new_version > old_version
			OR new_version = old_version AND old_status = 1 AND new_status = 1 AND program IN ('foreign', 'operator'))`},
	{"a lease ends, or is renewed, by a new version alone", `
		SELECT format('task %s, change %s of %s', task, seq, program) FROM audit
		WHERE old_status = 1 AND new_status <> 1 AND new_version = old_version`},
	{"each change begins where the one before ended", `
		SELECT format('task %s, change %s of %s', task, seq, program) FROM (
			SELECT *, lag(new_version) OVER changes AS version, lag(new_status) OVER changes AS status
			FROM audit WINDOW changes AS (PARTITION BY task ORDER BY seq)) AS change
		WHERE (old_version, old_status) IS DISTINCT FROM (version, status)`},
	{"nothing disappears", `
		SELECT format('task %s', coalesce(task, id))
		FROM stored FULL JOIN (SELECT DISTINCT task FROM audit) AS seen ON task = id
		WHERE task IS NULL OR id IS NULL`},
	{"the table holds what the last change left", `
		SELECT format('task %s', id) FROM stored JOIN LATERAL
			(SELECT * FROM audit WHERE task = id ORDER BY seq DESC LIMIT 1) AS last ON true
		WHERE (status, updated_at) IS DISTINCT FROM (new_status, new_version)`},
	{"no two claims of a task have one version", `
		SELECT format('task %s, version %s', task, new_version) FROM audit
		WHERE old_status = 0 AND new_status = 1 GROUP BY task, new_version HAVING count(*) > 1`},
}

// brokenRules returns the exceptions to auditRules.
func brokenRules(t *testing.T, b *storetest.Bundle) (problems []string) {
	t.Helper()
	// Citus joins no table of one node with shards.
	b.Exec(t, `CREATE TABLE stored AS SELECT id, status, updated_at FROM tasks`)
	b.Exec(t, `CREATE INDEX ON audit (task, seq)`)
	b.Exec(t, `ANALYZE audit`)
	for _, r := range auditRules {
		rows, err := b.Pool.Query(t.Context(), r.exceptions+" LIMIT 3")
		if err != nil {
			t.Fatal(err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		for _, exception := range found {
			problems = append(problems, fmt.Sprintf("not so: %s: %s", r.rule, exception))
		}
	}
	return problems
}
