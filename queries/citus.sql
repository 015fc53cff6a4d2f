-- Twins of statements that Citus refuses, or runs on every shard one caller after the other. `OnShard` ones lock rows
-- and pass by those that somebody else has locked: all their @ids have to lie on one shard (ListShards tells), and they
-- name @ids for each table, so that Citus sends the whole statement there. `OnShards` ones take ids of any shards, and
-- ask only those. Citus allows no CASE around statement_timestamp().

-- name: ClaimTasksOnShard :many
-- ClaimTasks and its kin, on the shard of the id @anchor: see schema/citus.sql.
-- @sqlc-vet-disable
SELECT * FROM tasks_claim(
    @anchor::bigint, @max_rows::integer, @step::bigint, @avoid::bigint[],
    sqlc.narg(integration_id)::bigint, sqlc.narg(client_id)::bigint, sqlc.narg(template_id)::bigint);

-- name: DeleteFailuresOnShards :exec
DELETE FROM task_failures WHERE task_id = ANY (@ids::bigint[]);

-- name: DeleteFinishedOnShard :many
-- DeleteFinished for some tasks.
DELETE FROM tasks
WHERE id = ANY (@ids::bigint[]) AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.id = ANY (@ids::bigint[]) AND old.status IN (2, 3) AND old.updated_at < @before::bigint
    ORDER BY old.id
    FOR UPDATE SKIP LOCKED))
RETURNING id;

-- name: DeleteIdleFailures :exec
-- The failures of tasks that are gone or were completed in the end.
DELETE FROM task_failures AS known
WHERE known.task_id BETWEEN @first AND @last
    AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = known.task_id AND tasks.status <> 2);

-- name: DeleteKeys :exec
DELETE FROM task_keys WHERE key = ANY (@keys::text[]) AND task_id = ANY (@ids::bigint[]);

-- name: DeleteTaskOnShard :one
-- DeleteTask without what it takes along.
DELETE FROM tasks WHERE id = @id RETURNING id;

-- name: FinishTasksOnShards :many
-- FinishTasks, on the shards of @ids alone.
UPDATE tasks
SET status = @status::integer,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, tasks.updated_at + 1)
FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
WHERE tasks.id = ANY (@ids::bigint[])
    AND tasks.id = held.id AND tasks.updated_at = held.version AND tasks.status + 0 = 1
RETURNING tasks.id;

-- name: GetTaskIDByKey :one
SELECT task_id FROM task_keys WHERE key = @key;

-- name: HasIdleFailures :one
-- Whether DeleteIdleFailures would delete any.
SELECT count(*) > 0 FROM (
    SELECT known.task_id FROM task_failures AS known
    WHERE known.task_id BETWEEN @first AND @last
        AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = known.task_id AND tasks.status <> 2)
    LIMIT 1) AS idle;

-- name: HeartbeatTasksOnShard :many
-- HeartbeatTasks.
UPDATE tasks
SET updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (@ids::bigint[]) AND id = ANY (ARRAY(
    SELECT old.id
    FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
    JOIN tasks AS old ON old.id = held.id AND old.updated_at = held.version AND old.status + 0 = 1
    WHERE old.id = ANY (@ids::bigint[])
    FOR NO KEY UPDATE OF old SKIP LOCKED))
RETURNING id, updated_at;

-- name: KeepKey :one
-- The id of the task that has a key, or is to have it: then a new one.
INSERT INTO task_keys AS held (key, task_id)
VALUES (@key, nextval(pg_get_serial_sequence('tasks', 'id')::regclass))
ON CONFLICT (key) DO UPDATE SET task_id = held.task_id
RETURNING task_id;

-- name: KeepKeys :many
-- As KeepKey, for several keys in ascending order, each with the id that it is to have if it is new.
INSERT INTO task_keys AS held (key, task_id)
SELECT wanted.key, wanted.id
FROM (SELECT unnest(@keys::text[]) AS key, unnest(@ids::bigint[]) AS id) AS wanted
ON CONFLICT (key) DO UPDATE SET task_id = held.task_id
RETURNING key, task_id;

-- name: ListAnchors :many
-- One pending task of each shard that has some of the oldest ones, oldest first, for ClaimTasksOnShard. Of each shard
-- idx_tasks_pending.
-- @sqlc-vet-disable
SELECT min(oldest.id)::bigint AS anchor
FROM (SELECT id FROM tasks WHERE status = 0 ORDER BY id LIMIT @max_rows::integer) AS oldest
GROUP BY get_shard_id_for_distribution_column('tasks', oldest.id)
ORDER BY anchor;

-- name: ListAnchorsByBatch :many
-- As ListAnchors, by idx_tasks_pending_batch.
-- @sqlc-vet-disable
SELECT min(oldest.id)::bigint AS anchor
FROM (
    SELECT id FROM tasks
    WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id AND status + 0 = 0
    ORDER BY id + 0 LIMIT @max_rows::integer) AS oldest
GROUP BY get_shard_id_for_distribution_column('tasks', oldest.id)
ORDER BY anchor;

-- name: ListAnchorsByIntegration :many
-- As ListAnchors, by idx_tasks_pending_integration.
-- @sqlc-vet-disable
SELECT min(oldest.id)::bigint AS anchor
FROM (
    SELECT id FROM tasks WHERE integration_id = @integration_id AND status - 0 = 0
    ORDER BY id - 0 LIMIT @max_rows::integer) AS oldest
GROUP BY get_shard_id_for_distribution_column('tasks', oldest.id)
ORDER BY anchor;

-- name: ListAnchorsByTemplate :many
-- As ListAnchors, by idx_tasks_pending_template.
-- @sqlc-vet-disable
SELECT min(oldest.id)::bigint AS anchor
FROM (
    SELECT id FROM tasks WHERE template_id = @template_id AND status * 1 = 0
    ORDER BY id * 1 LIMIT @max_rows::integer) AS oldest
GROUP BY get_shard_id_for_distribution_column('tasks', oldest.id)
ORDER BY anchor;

-- name: ListKeys :many
-- The keys of some tasks, for DeleteKeys, which then asks only their shards. Of each shard idx_task_keys_task_id.
SELECT key FROM task_keys WHERE task_id = ANY (@ids::bigint[]);

-- name: ListPendingIntegrationsOnShards :many
-- ListPendingIntegrations, which Citus cannot run. Each shard reads its part of idx_tasks_pending_integration.
SELECT DISTINCT integration_id FROM tasks WHERE status - 0 = 0 ORDER BY integration_id LIMIT @max_rows::integer;

-- name: ListShards :many
-- The shard that each of some ids lies on, or would.
-- @sqlc-vet-disable
SELECT id::bigint, get_shard_id_for_distribution_column('tasks', id)::bigint AS shard
FROM (SELECT unnest(@ids::bigint[]) AS id) AS wanted;

-- name: ListThere :many
-- Which of some tasks there are.
SELECT id FROM tasks WHERE id = ANY (@ids::bigint[]);

-- name: NextSliceOnShards :one
-- NextSlice without orphans.
SELECT
    CASE WHEN count(*) < @max_rows::integer THEN 9223372036854775807 ELSE max(id) END::bigint AS last,
    count(*) FILTER (WHERE status IN (2, 3) AND updated_at < @before::bigint) AS finished
FROM (SELECT id, status, updated_at FROM tasks WHERE id >= @first ORDER BY id LIMIT @max_rows::integer) AS page;

-- name: NoteFailures :exec
-- What FailTasks notes of the tasks that it ended.
INSERT INTO task_failures AS known (task_id, failures, reason, failed_at, retry_at)
SELECT held.task_id, 1, held.reason, held.failed_at,
    CASE WHEN held.retry_in_ms > 0 THEN held.failed_at + held.retry_in_ms END
FROM (SELECT
    unnest(@ids::bigint[]) AS task_id,
    unnest(@reasons::text[]) AS reason,
    unnest(@retry_in_ms::bigint[]) AS retry_in_ms,
    (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS failed_at) AS held
ON CONFLICT (task_id) DO UPDATE SET
    failures = known.failures + 1,
    reason = excluded.reason,
    failed_at = excluded.failed_at,
    retry_at = excluded.retry_at;

-- name: ReserveIDs :one
-- Ids for rows that are to be stored by COPY, and the time for them to share.
SELECT
    array_agg(nextval(owned.seq))::bigint[] AS ids,
    (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now_ms
FROM (SELECT pg_get_serial_sequence('tasks', 'id')::regclass AS seq OFFSET 0) AS owned,
    generate_series(1, @rows::integer);

-- name: StoreKeyedTask :one
-- The task whose id KeepKey gave, unless it is there: then none.
INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
OVERRIDING SYSTEM VALUE
VALUES (@id, @integration_id, @user_id, @client_id, @account_id, @template_id, @argument)
ON CONFLICT (id) DO NOTHING
RETURNING *;
