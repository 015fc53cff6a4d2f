package migrate

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// blockersOnNodes are those that block the session $1 of the coordinator on any node of its cluster. Of a session that
// waits for its part on a node, the coordinator's own pg_locks tells nothing.
const blockersOnNodes = `
SELECT pid, coalesce(usename, ''), coalesce(application_name, ''),
    format('%s on node %s:%s', state, nodename, nodeport), coalesce(query, ''),
    coalesce(extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change)), 0)::float8
FROM citus_stat_activity JOIN pg_dist_node USING (nodeid)
WHERE NOT is_worker_query AND global_pid IN (
    SELECT blocking_gpid FROM citus_lock_waits
    WHERE waiting_gpid = citus_calculate_gpid(citus_coordinator_nodeid(), $1))`

// blockersOf returns who blocks the session pid. On Citus it asks the other nodes only if nobody does here, since that
// takes connections to all of them.
func blockersOf(ctx context.Context, conn *pgx.Conn, pid uint32) ([]backend, error) {
	list, err := backends(ctx, conn, blockers, int32(pid))
	if err != nil || len(list) > 0 {
		return list, err
	}
	if citus, err := hasCitus(ctx, conn); err != nil || !citus {
		return nil, err
	}
	return backends(ctx, conn, blockersOnNodes, int32(pid))
}

// hasCitus reports whether the database has the extension.
func hasCitus(ctx context.Context, conn *pgx.Conn) (has bool, err error) {
	const installed = "SELECT to_regclass('pg_catalog.pg_dist_local_group') IS NOT NULL"
	err = conn.QueryRow(ctx, installed).Scan(&has)
	return has, err
}

// refuseWorker returns an error on a worker node of a Citus cluster: a change there would be of that node alone, and
// adopt would take the coordinator's table for somebody else's.
func refuseWorker(ctx context.Context, conn *pgx.Conn) error {
	var worker bool
	if citus, err := hasCitus(ctx, conn); err != nil || !citus {
		return err
	}
	const group = "SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_local_group WHERE groupid <> 0)"
	if err := conn.QueryRow(ctx, group).Scan(&worker); err != nil || !worker {
		return err
	}
	return &Error{
		Message: "this is a worker node of a Citus cluster; nothing was done",
		Hint:    "connect to the coordinator, which passes changes on to the nodes",
	}
}
