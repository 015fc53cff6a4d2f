package race

import (
	"strings"
	"sync"
)

// On Citus a row changes on a worker node. The audit is written there, and knows which session of the coordinator it is
// for, but not what that session has set. So each session serves one call only, and this knows which.
type sessions struct {
	mu sync.Mutex
	of map[uint32]session // by the coordinator's process
}

type session struct {
	program string
	call    int64
}

// serves reports whether the process may serve the call, because it has served no other.
func (s *sessions) serves(pid uint32, now session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of == nil {
		s.of = map[uint32]session{}
	}
	before, known := s.of[pid]
	if !known {
		s.of[pid] = now
	}
	return !known || before == now
}

// auditOnNodes is auditTasks on the nodes of a Citus cluster. Until gatherAudit, the call is the coordinator's process.
func (r *race) auditOnNodes() {
	r.t.Helper()
	b := r.b
	b.Exec(r.t, `SELECT run_command_on_all_nodes($1)`, strings.ReplaceAll(auditTable, "\n", " "))
	for _, sql := range []string{
		`CREATE FUNCTION audit_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO audit (program, call, task, old_status, new_status, old_version, new_version)
			VALUES ('', citus_pid_for_gpid(citus_backend_gpid()),
				coalesce(NEW.id, OLD.id), OLD.status, NEW.status, OLD.updated_at, NEW.updated_at);
			RETURN NULL;
		END $$`,
		`CREATE TRIGGER audit_tasks AFTER INSERT OR UPDATE OR DELETE ON tasks FOR EACH ROW EXECUTE FUNCTION audit_tasks()`,
	} {
		b.Exec(r.t, sql)
	}
}

// gatherAudit brings the nodes' audits to the coordinator.
func (r *race) gatherAudit() {
	r.t.Helper()
	var pids, calls []int64
	var programs []string
	for pid, s := range r.sessions.of {
		pids, calls, programs = append(pids, int64(pid)), append(calls, s.call), append(programs, s.program)
	}
	r.endInDoubt()
	r.b.Exec(r.t, `
		INSERT INTO audit (seq, program, call, task, old_status, new_status, old_version, new_version)
		SELECT seq, coalesce(session.program, ''), coalesce(session.call, 0),
			task, old_status, new_status, old_version, new_version
		FROM run_command_on_workers('SELECT coalesce(json_agg(audit), ''[]'') FROM audit') AS node,
			json_populate_recordset(NULL::audit, node.result::json) AS change
			LEFT JOIN unnest($1::bigint[], $2::text[], $3::bigint[]) AS session (pid, program, call) ON pid = change.call`,
		pids, programs, calls)
}

// endInDoubt commits or rolls back what killed sessions have left prepared on the nodes. Citus does so once a minute,
// and their rows are locked until then.
func (r *race) endInDoubt() {
	r.t.Helper()
	r.b.Exec(r.t, `SELECT recover_prepared_transactions()`)
}
