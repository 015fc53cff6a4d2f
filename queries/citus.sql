-- Twins of statements that lock rows, for Citus, which refuses row locks across shards. Each is safe without them:
-- the statement changes a row only if it still meets the outer condition when its lock is granted. Statements that
-- pick the same rows wait for each other, and the later one gets fewer than it asked for.

-- name: ClaimTasksByBatchOptimistic :many
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE status + 0 = 0 AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id AND old.client_id = @client_id AND old.template_id = @template_id
        AND old.status + 0 = 0 AND old.id + 0 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id + 0
    LIMIT @max_rows::integer))
RETURNING *;

-- name: ClaimTasksByIntegrationOptimistic :many
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE status + 0 = 0 AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id
        AND old.status - 0 = 0 AND old.id - 0 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id - 0
    LIMIT @max_rows::integer))
RETURNING *;

-- name: ClaimTasksByTemplateOptimistic :many
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE status + 0 = 0 AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.template_id = @template_id
        AND old.status * 1 = 0 AND old.id * 1 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id * 1
    LIMIT @max_rows::integer))
RETURNING *;

-- name: ClaimTasksOptimistic :many
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE status + 0 = 0 AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.status = 0 AND old.id >= @first AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id
    LIMIT @max_rows::integer))
RETURNING *;

-- name: DeleteFinishedOptimistic :many
DELETE FROM tasks
WHERE id = ANY (ARRAY(
        SELECT old.id FROM tasks AS old
        WHERE old.id BETWEEN @first AND @last
            AND old.status IN (2, 3) AND old.updated_at < @before::bigint
        ORDER BY old.id
        LIMIT @max_rows::integer))
    AND status IN (2, 3) AND updated_at < @before::bigint
RETURNING id;

-- name: HeartbeatTasksOptimistic :many
UPDATE tasks
SET updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, tasks.updated_at + 1)
FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
WHERE tasks.id = held.id AND tasks.updated_at = held.version AND tasks.status + 0 = 1
RETURNING tasks.id, tasks.updated_at;

-- name: RequeueTasksOptimistic :many
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(
        SELECT old.id FROM tasks AS old
        WHERE old.status = 1
            AND (old.updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
                 OR (old.id, old.updated_at) IN (SELECT unnest(@ids::bigint[]), unnest(@versions::bigint[])))
            AND (sqlc.narg(integration_id)::bigint IS NULL OR old.integration_id = sqlc.narg(integration_id))
            AND (sqlc.narg(client_id)::bigint IS NULL OR old.client_id = sqlc.narg(client_id))
            AND (sqlc.narg(template_id)::bigint IS NULL OR old.template_id = sqlc.narg(template_id))
        ORDER BY old.id
        LIMIT @max_rows::integer))
    AND status = 1
    AND (updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
         OR (id, updated_at) IN (SELECT unnest(@ids::bigint[]), unnest(@versions::bigint[])))
RETURNING id;

-- name: RetryDueTasksOptimistic :many
WITH due AS MATERIALIZED (
    SELECT old.id
    FROM task_failures AS known
    JOIN tasks AS old ON old.id = known.task_id
    WHERE known.retry_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
        AND (sqlc.narg(integration_id)::bigint IS NULL OR old.integration_id = sqlc.narg(integration_id))
        AND (sqlc.narg(client_id)::bigint IS NULL OR old.client_id = sqlc.narg(client_id))
        AND (sqlc.narg(template_id)::bigint IS NULL OR old.template_id = sqlc.narg(template_id))
    ORDER BY known.retry_at
    LIMIT @max_rows::integer
), cleared AS (
    UPDATE task_failures SET retry_at = NULL WHERE task_id = ANY (ARRAY(SELECT due.id FROM due))
)
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(SELECT due.id FROM due)) AND status = 3
RETURNING id;
