package migrate

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// refuseWorker returns an error on a worker node of a Citus cluster: a change there would be of that node alone, and
// adopt would take the coordinator's table for somebody else's.
func refuseWorker(ctx context.Context, conn *pgx.Conn) error {
	var citus, worker bool
	const installed = "SELECT to_regclass('pg_catalog.pg_dist_local_group') IS NOT NULL"
	if err := conn.QueryRow(ctx, installed).Scan(&citus); err != nil || !citus {
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
