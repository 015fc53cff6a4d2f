-- name: ClaimPendingIDs :many
-- ClaimTasks for the ids that ListPendingIDs gave. By primary key. On Citus all of @ids lie on one shard (ListShards
-- tells); they are named for each table, so that Citus sends the whole statement there. It allows no CASE around
-- statement_timestamp(): hence the sum.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
        + (updated_at >= (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000)::integer * @step::bigint
WHERE id = ANY (@ids::bigint[]) AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.id = ANY (@ids::bigint[]) AND old.status = 0
    ORDER BY old.id
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimTasks :many
-- The oldest pending tasks from a low-water mark on, now processing. Served by idx_tasks_pending, whose dead
-- entries below the mark a claim does not visit; tasks_pkey finds the rows again. @avoid are tasks that could not be
-- claimed a moment ago.
--
-- Safe: the subquery locks each row it takes and READ COMMITTED looks at the status again once the lock
-- is there, so that two claims never take one row; SKIP LOCKED lets them pass each other. ARRAY(…) makes
-- it an InitPlan, which runs once: as `id IN (SELECT …)` a nested loop may run it again for each row and
-- claim more than the limit. The outer query must not repeat `status = 0`, or the planner may read every
-- pending row through idx_status.
--
-- The OR says `status = 0` twice, by operators of two types. The partial index still serves it, and idx_status does not
-- in one scan. With `status = 0` alone the planner takes idx_status where statistics say that hardly anything is
-- pending, and then a claim visits each task that was pending once and that an old snapshot keeps.
--
-- A version that lies seconds ahead of the clock says that the clock was set back, that a server whose clock is behind
-- took over, or that somebody else wrote it. There `updated_at + 1` would give the lease that a lost commit gave
-- already; a random @step tells the two apart.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE (old.status = 0 OR old.status = 0::bigint)
        AND old.id >= @first AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimTasksByBatch :many
-- As ClaimTasks, of one batch. Served by idx_tasks_pending_batch, the only index on id + 0 and status + 0: with the
-- plain columns the planner may look for a frequent batch in idx_tasks_pending, and pass by the pending tasks of all
-- others.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id AND old.client_id = @client_id AND old.template_id = @template_id
        AND old.status + 0 = 0
        AND old.id + 0 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id + 0
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimTasksByIntegration :many
-- As ClaimTasksByBatch, by idx_tasks_pending_integration, the only index on id - 0 and status - 0.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id
        AND old.status - 0 = 0
        AND old.id - 0 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id - 0
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimTasksByTemplate :many
-- As ClaimTasksByBatch, by idx_tasks_pending_template, the only index on id * 1 and status * 1.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.template_id = @template_id
        AND old.status * 1 = 0
        AND old.id * 1 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id * 1
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimTasksOfIntegrations :many
-- As ClaimTasksByIntegration, of several integrations at once: of each up to its quota, from its own mark on.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1
            ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT picked.id
    FROM (SELECT
        unnest(@integration_ids::bigint[]) AS integration_id,
        unnest(@firsts::bigint[]) AS first,
        unnest(@quotas::integer[]) AS quota) AS turn
    CROSS JOIN LATERAL (
        SELECT old.id FROM tasks AS old
        WHERE old.integration_id = turn.integration_id
            AND old.status - 0 = 0
            AND old.id - 0 >= turn.first AND old.id <> ALL (@avoid::bigint[])
        ORDER BY old.id - 0
        LIMIT turn.quota
        FOR NO KEY UPDATE SKIP LOCKED) AS picked))
RETURNING *;

-- name: FailTasks :many
-- FinishTasks for tasks that failed, each with its reason and the time after which it is due again: 0 is never. In
-- the same statement, so that no reason is kept of a lease that was lost.
WITH held AS MATERIALIZED (
    SELECT
        unnest(@ids::bigint[]) AS id,
        unnest(@versions::bigint[]) AS version,
        unnest(@reasons::text[]) AS reason,
        unnest(@retry_in_ms::bigint[]) AS retry_in_ms
), ended AS (
    UPDATE tasks
    SET status = 3,
        updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, tasks.updated_at + 1)
    FROM held
    WHERE tasks.id = held.id AND tasks.updated_at = held.version AND tasks.status + 0 = 1
    RETURNING tasks.id
), noted AS (
    INSERT INTO task_failures AS known (task_id, failures, reason, failed_at, retry_at)
    SELECT held.id, 1, held.reason, (extract(epoch FROM statement_timestamp()) * 1000)::bigint,
        CASE WHEN held.retry_in_ms > 0
            THEN (extract(epoch FROM statement_timestamp()) * 1000)::bigint + held.retry_in_ms END
    FROM held JOIN ended USING (id)
    ON CONFLICT (task_id) DO UPDATE SET
        failures = known.failures + 1,
        reason = excluded.reason,
        failed_at = excluded.failed_at,
        retry_at = excluded.retry_at
)
SELECT ended.id FROM ended;

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
-- Renews the leases that are still alive and that nobody has locked. By primary key. Touches updated_at alone, which
-- no index mentions: a HOT update, where the page has room.
--
-- Safe: the subquery locks the rows and looks at their versions again under the lock, as in ClaimTasks. A row that
-- somebody else has locked is passed by: waiting for it would let all other leases of the call expire, and would
-- renew them as of the time at which the statement began.
UPDATE tasks
SET updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(
    SELECT old.id
    FROM (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
    JOIN tasks AS old ON old.id = held.id AND old.updated_at = held.version AND old.status + 0 = 1
    FOR NO KEY UPDATE OF old SKIP LOCKED))
RETURNING id, updated_at;

-- name: ListDue :many
-- What RetryDueTasks would retry, but for tasks that refused a moment ago: for RetryDueIDs. As that, without locks.
SELECT old.id
FROM task_failures AS known
JOIN tasks AS old ON old.id = known.task_id
WHERE known.retry_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
    AND (sqlc.narg(integration_id)::bigint IS NULL OR old.integration_id = sqlc.narg(integration_id))
    AND (sqlc.narg(client_id)::bigint IS NULL OR old.client_id = sqlc.narg(client_id))
    AND (sqlc.narg(template_id)::bigint IS NULL OR old.template_id = sqlc.narg(template_id))
    AND old.id <> ALL (@avoid::bigint[])
ORDER BY known.retry_at
LIMIT @max_rows::integer;

-- name: ListHeld :many
-- Which leases are alive, as far as is committed: for those that HeartbeatTasks passed by. By primary key.
SELECT tasks.id
FROM tasks
JOIN (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
    ON tasks.id = held.id AND tasks.updated_at = held.version
WHERE tasks.status + 0 = 1;

-- name: ListPendingIDs :many
-- What a claim would take, without taking it, of all tasks or of one owner: for a claim that failed, so that no index
-- is its own. idx_tasks_pending, past the tasks of other owners.
SELECT id FROM tasks
WHERE status = 0 AND id >= @first AND id <> ALL (@avoid::bigint[])
    AND (sqlc.narg(integration_id)::bigint IS NULL OR integration_id = sqlc.narg(integration_id))
    AND (sqlc.narg(client_id)::bigint IS NULL OR client_id = sqlc.narg(client_id))
    AND (sqlc.narg(template_id)::bigint IS NULL OR template_id = sqlc.narg(template_id))
ORDER BY id
LIMIT @max_rows::integer;

-- name: ListPendingIntegrations :many
-- The integrations that have pending tasks, each found by one step through idx_tasks_pending_integration (a loose index
-- scan, as the PostgreSQL wiki has it), however many tasks it has.
WITH RECURSIVE queue AS (
    (SELECT integration_id FROM tasks WHERE status - 0 = 0 ORDER BY integration_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT next.integration_id FROM tasks AS next
        WHERE next.status - 0 = 0 AND next.integration_id > queue.integration_id
        ORDER BY next.integration_id LIMIT 1)
    FROM queue WHERE queue.integration_id IS NOT NULL
)
SELECT integration_id::bigint FROM queue WHERE integration_id IS NOT NULL LIMIT @max_rows::integer;

-- name: ListSilent :many
-- What RequeueTasks would requeue, but for tasks that refused a moment ago: for RequeueIDs. idx_status.
SELECT id FROM tasks
WHERE status = 1
    AND (updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
         OR (id, updated_at) IN (SELECT unnest(@ids::bigint[]), unnest(@versions::bigint[])))
    AND (sqlc.narg(integration_id)::bigint IS NULL OR integration_id = sqlc.narg(integration_id))
    AND (sqlc.narg(client_id)::bigint IS NULL OR client_id = sqlc.narg(client_id))
    AND (sqlc.narg(template_id)::bigint IS NULL OR template_id = sqlc.narg(template_id))
    AND id <> ALL (@avoid::bigint[])
ORDER BY id
LIMIT @max_rows::integer;

-- name: ListStaleTasks :many
-- What RequeueTasks would requeue, without doing it. idx_status.
SELECT * FROM tasks
WHERE status = 1
    AND updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
    AND (sqlc.narg(integration_id)::bigint IS NULL OR integration_id = sqlc.narg(integration_id))
    AND (sqlc.narg(client_id)::bigint IS NULL OR client_id = sqlc.narg(client_id))
    AND (sqlc.narg(template_id)::bigint IS NULL OR template_id = sqlc.narg(template_id))
ORDER BY id
LIMIT @max_rows::integer;

-- name: RequeueIDs :many
-- RequeueTasks for the ids that ListSilent gave. By primary key, as ClaimPendingIDs.
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (@ids::bigint[]) AND id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.id = ANY (@ids::bigint[]) AND old.status = 1
        AND (old.updated_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint
             OR (old.id, old.updated_at) IN (SELECT unnest(@ahead_ids::bigint[]), unnest(@versions::bigint[])))
    ORDER BY old.id
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING id;

-- name: RequeueTasks :many
-- Tasks in processing whose worker has been silent, oldest first, and that nobody has locked. idx_status finds the
-- tasks in processing; those of other owners are few, and read. @ids and @versions are tasks whose version lies ahead
-- of the clock and has not changed for that long. Safe: as ClaimTasks; a heartbeat that comes first
-- is seen under the lock.
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
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING id;

-- name: RetryDueIDs :many
-- RetryDueTasks for the ids that ListDue gave. By primary keys, as ClaimPendingIDs.
WITH due AS MATERIALIZED (
    SELECT old.id, old.status
    FROM task_failures AS known
    JOIN tasks AS old ON old.id = known.task_id
    WHERE known.task_id = ANY (@ids::bigint[]) AND old.id = ANY (@ids::bigint[])
        AND known.retry_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
    ORDER BY known.retry_at
    FOR NO KEY UPDATE SKIP LOCKED
), cleared AS (
    UPDATE task_failures SET retry_at = NULL
    WHERE task_id = ANY (@ids::bigint[]) AND task_id = ANY (ARRAY(SELECT due.id FROM due))
)
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (@ids::bigint[]) AND id = ANY (ARRAY(SELECT due.id FROM due WHERE due.status = 3))
RETURNING id;

-- name: RetryDueTasks :many
-- Failed tasks whose time to try again has come, longest due first, back to pending. idx_task_failures_retry_at, then
-- the tasks by primary key. A row that somebody has locked is passed by. A task that is no longer failed, since
-- somebody put it back by hand, only loses its time. Safe: as ClaimTasks.
WITH due AS MATERIALIZED (
    SELECT old.id, old.status
    FROM task_failures AS known
    JOIN tasks AS old ON old.id = known.task_id
    WHERE known.retry_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint
        AND (sqlc.narg(integration_id)::bigint IS NULL OR old.integration_id = sqlc.narg(integration_id))
        AND (sqlc.narg(client_id)::bigint IS NULL OR old.client_id = sqlc.narg(client_id))
        AND (sqlc.narg(template_id)::bigint IS NULL OR old.template_id = sqlc.narg(template_id))
    ORDER BY known.retry_at
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED
), cleared AS (
    UPDATE task_failures SET retry_at = NULL WHERE task_id = ANY (ARRAY(SELECT due.id FROM due))
)
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (ARRAY(SELECT due.id FROM due WHERE due.status = 3))
RETURNING id;

-- name: RetryTasks :many
-- Failed tasks, back to pending, and no longer due by themselves. By primary key, as FinishTasks.
WITH cleared AS (
    UPDATE task_failures SET retry_at = NULL WHERE task_id = ANY (@ids::bigint[]) AND retry_at IS NOT NULL
)
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (@ids::bigint[]) AND status + 0 = 3
RETURNING id;
