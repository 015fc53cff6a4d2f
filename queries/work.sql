-- name: ClaimBatch :many
-- As ClaimTasks, of one batch. Served by idx_tasks_pending_batch, the only index on id + 0: with a plain id
-- the planner may look for a frequent batch in idx_tasks_pending, and pass by the pending tasks of all others.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id AND old.client_id = @client_id AND old.template_id = @template_id
        AND old.status = 0 AND old.id + 0 >= @first::bigint
    ORDER BY old.id + 0
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimBatchOptimistic :many
-- ClaimBatch without row locks, which Citus refuses across shards. Safe: the statement changes a row
-- only if it is still pending when its lock is granted. Workers that pick the same rows wait for each
-- other, and the later one gets fewer than it asked for.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE status + 0 = 0 AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id AND old.client_id = @client_id AND old.template_id = @template_id
        AND old.status = 0 AND old.id + 0 >= @first::bigint
    ORDER BY old.id + 0
    LIMIT @max_rows::integer))
RETURNING *;

-- name: ClaimTasks :many
-- The oldest pending tasks from a low-water mark on, now processing. Served by idx_tasks_pending, whose dead
-- entries below the mark a claim does not visit; tasks_pkey finds the rows again.
--
-- Safe: the subquery locks each row it takes and READ COMMITTED looks at the status again once the lock
-- is there, so that two claims never take one row; SKIP LOCKED lets them pass each other. ARRAY(…) makes
-- it an InitPlan, which runs once: as `id IN (SELECT …)` a nested loop may run it again for each row and
-- claim more than the limit. The outer query must not repeat `status = 0`, or the planner may read every
-- pending row through idx_status.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.status = 0 AND old.id >= @first
    ORDER BY old.id
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimTasksOptimistic :many
-- ClaimTasks without row locks, which Citus refuses across shards. Safe: the statement changes a row
-- only if it is still pending when its lock is granted. Workers that pick the same rows wait for each
-- other, and the later one gets fewer than it asked for.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE status + 0 = 0 AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.status = 0 AND old.id >= @first
    ORDER BY old.id
    LIMIT @max_rows::integer))
RETURNING *;

-- name: FinishTasks :many
-- Ends the leases that are still alive: the row is in processing and has the version that its worker
-- last saw. Completes, fails or releases. By primary key, in the order of @ids, which the caller sorts
-- so that two batches lock their rows in one order: `status + 0` keeps the planner from going through
-- all tasks in processing by idx_status instead.
--
-- Safe: a row that changes meanwhile is looked at again when its lock is granted (READ COMMITTED), and its
-- version is another then; stricter levels fail with 40001.
UPDATE tasks
SET status = @status::integer,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, tasks.updated_at + 1)
FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
WHERE tasks.id = held.id AND tasks.updated_at = held.version AND tasks.status + 0 = 1
RETURNING tasks.id;

-- name: HeartbeatTasks :many
-- Renews the leases that are still alive, as FinishTasks. Touches updated_at alone, which no index
-- mentions: a HOT update, where the page has room.
UPDATE tasks
SET updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, tasks.updated_at + 1)
FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
WHERE tasks.id = held.id AND tasks.updated_at = held.version AND tasks.status + 0 = 1
RETURNING tasks.id, tasks.updated_at;

-- name: RequeueTasks :many
-- Tasks in processing whose worker has been silent, oldest first. idx_status finds the tasks in
-- processing. Without row locks, and safe: a row that a heartbeat renews meanwhile no longer meets the
-- outer condition when its lock is granted.
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(
        SELECT old.id FROM tasks AS old
        WHERE old.status = 1
            AND old.updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
        ORDER BY old.id
        LIMIT @max_rows::integer))
    AND status = 1
    AND updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
RETURNING id;

-- name: RetryTasks :many
-- Failed tasks, back to pending. By primary key, as FinishTasks.
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (@ids::bigint[]) AND status + 0 = 3
RETURNING id;
