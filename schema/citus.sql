-- Distributes a migrated tasks table over the nodes of a Citus cluster, by id. Not a migration: run it by psql on the
-- coordinator, as a superuser, after `taskmigrate up`, and again after later migrations. It can be repeated:
--
--     psql -X -v ON_ERROR_STOP=1 -1 -f schema/citus.sql "$DATABASE_URL"
--
-- Distributing copies the rows to the shards and blocks writes meanwhile. See docs/citus.md.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'the extension citus is not installed in this database'
            USING HINT = 'CREATE EXTENSION citus, add the worker nodes, then run this file again.';
    END IF;
    IF (SELECT groupid FROM pg_dist_local_group) <> 0 THEN
        RAISE EXCEPTION 'this node is a worker of the cluster'
            USING HINT = 'Run this file on the coordinator.';
    END IF;
    IF to_regclass('task_failures') IS NULL THEN
        RAISE EXCEPTION 'tasks is missing or not migrated'
            USING HINT = 'Run `taskmigrate up`, then this file again.';
    END IF;
END $$;

-- Citus refuses triggers that may touch other shards. Ours touch their own row only.
SET citus.enable_unsafe_triggers TO on;

-- One connection to a node, or Citus cannot do all of this in one transaction.
SET citus.multi_shard_modify_mode TO sequential;

-- The primary keys leave no other columns: a unique constraint has to contain the distribution column. The failures of
-- a task lie beside it, so that retries join them shard by shard. A key lies anywhere, and its shard is the only one
-- that is asked for it. As a reference table task_keys would have each writer lock out all others until it commits.
SELECT create_distributed_table('tasks', 'id')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'tasks'::regclass);
SELECT create_distributed_table('task_failures', 'task_id', colocate_with => 'tasks')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'task_failures'::regclass);
SELECT create_distributed_table('task_keys', 'key', colocate_with => 'none')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'task_keys'::regclass);

-- Claims up to max_rows tasks of a queue on the shard that has the id anchor, oldest first, from anchor on. A queue is
-- what one of the three owners has, a batch if all are given, or everything. The coordinator sends the call to the
-- node that has the shard, where one shard is asked, so that SKIP LOCKED works.
--
-- Safe: the shard itself is only read and locked. The UPDATE is a statement of Citus on its table, which knows where
-- the shard is if it has just moved, and which changes a row only if that is still pending under its lock. No index
-- has `status * 2`, so that the rows are found by primary key. Conditions are those of ClaimTasks and its kin, in
-- queries/work.sql.
CREATE OR REPLACE FUNCTION tasks_claim(
    anchor bigint, max_rows integer, step bigint, avoid bigint[], integration bigint, client bigint, template bigint)
RETURNS SETOF tasks LANGUAGE plpgsql AS $$
DECLARE
    shard CONSTANT regclass :=
        to_regclass(shard_name('tasks', get_shard_id_for_distribution_column('tasks', anchor)));
    queue CONSTANT text := CASE
        WHEN client IS NOT NULL THEN
            'integration_id = $4 AND client_id = $5 AND template_id = $6 AND status + 0 = 0 AND id + 0 >= $1'
        WHEN integration IS NOT NULL THEN 'integration_id = $4 AND status - 0 = 0 AND id - 0 >= $1'
        WHEN template IS NOT NULL THEN 'template_id = $6 AND status * 1 = 0 AND id * 1 >= $1'
        ELSE '(status = 0 OR status = 0::bigint) AND id >= $1'
    END;
    oldest CONSTANT text := CASE
        WHEN client IS NOT NULL THEN 'id + 0'
        WHEN integration IS NOT NULL THEN 'id - 0'
        WHEN template IS NOT NULL THEN 'id * 1'
        ELSE 'id'
    END;
    now_ms CONSTANT bigint := (extract(epoch FROM statement_timestamp()) * 1000)::bigint;
    picked bigint[];
BEGIN
    IF shard IS NULL THEN
        RAISE EXCEPTION 'the shard of task % is not on this node', anchor
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Call tasks_claim on the coordinator, alone in its transaction: Citus sends it to the node.';
    END IF;
    EXECUTE format(
        'SELECT ARRAY(SELECT id FROM %s WHERE %s AND id <> ALL ($3) ORDER BY %s LIMIT $2 '
        'FOR NO KEY UPDATE SKIP LOCKED)',
        shard, queue, oldest)
        INTO picked USING anchor, max_rows, avoid, integration, client, template;
    RETURN QUERY
        UPDATE tasks
        SET status = 1,
            updated_at = greatest(now_ms, updated_at + CASE WHEN updated_at < now_ms + 5000 THEN 1 ELSE step END)
        WHERE id = ANY (picked) AND status * 2 = 0
        RETURNING *;
END $$;
SELECT create_distributed_function(
    'tasks_claim(bigint, integer, bigint, bigint[], bigint, bigint, bigint)', 'anchor', colocate_with => 'tasks');

-- One connection to each node at a time is enough for a statement of the store. With more, a create of a few rows
-- spends most of its time on opening connections. For roles that may log in and have the rights of tasks_service (see
-- roles.sql), in sessions that begin later; other services set it in their connection string.
DO $$
DECLARE
    service name;
BEGIN
    FOR service IN
        SELECT rolname FROM pg_roles
        WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, to_regrole('tasks_service')::oid, 'MEMBER')
    LOOP
        EXECUTE format(
            'ALTER ROLE %I IN DATABASE %I SET citus.max_adaptive_executor_pool_size = 1', service, current_database());
    END LOOP;
END $$;
