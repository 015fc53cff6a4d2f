-- name: ClaimBatch :many
-- As ClaimTasks, of one batch. Served by idx_tasks_pending_batch, the only index on id + 0: with a plain id
-- the planner may look for a frequent batch in idx_tasks_pending, and pass by the pending tasks of all others.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1 ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.integration_id = @integration_id AND old.client_id = @client_id AND old.template_id = @template_id
        AND old.status = 0 AND old.id + 0 >= @first::bigint AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id + 0
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
RETURNING *;

-- name: ClaimPendingIDs :many
-- ClaimTasks for the ids that ListPendingIDs gave. By primary key.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1 ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
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
-- A version that lies seconds ahead of the clock says that the clock was set back, that a server whose clock is behind
-- took over, or that somebody else wrote it. There `updated_at + 1` would give the lease that a lost commit gave
-- already; a random @step tells the two apart.
UPDATE tasks
SET status = 1,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at
        + CASE WHEN updated_at < (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 5000 THEN 1 ELSE @step::bigint END)
WHERE id = ANY (ARRAY(
    SELECT old.id FROM tasks AS old
    WHERE old.status = 0 AND old.id >= @first AND old.id <> ALL (@avoid::bigint[])
    ORDER BY old.id
    LIMIT @max_rows::integer
    FOR NO KEY UPDATE SKIP LOCKED))
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

-- name: ListHeld :many
-- Which leases are alive, as far as is committed: for those that HeartbeatTasks passed by. By primary key.
SELECT tasks.id
FROM tasks
JOIN (SELECT unnest(@ids::bigint[]) AS id, unnest(@versions::bigint[]) AS version) AS held
    ON tasks.id = held.id AND tasks.updated_at = held.version
WHERE tasks.status + 0 = 1;

-- name: ListPendingIDs :many
-- What ClaimTasks would take, without taking it. idx_tasks_pending.
SELECT id FROM tasks
WHERE status = 0 AND id >= @first AND id <> ALL (@avoid::bigint[])
ORDER BY id
LIMIT @max_rows::integer;

-- name: ListPendingIDsByBatch :many
-- What ClaimBatch would take, without taking it. idx_tasks_pending_batch.
SELECT id FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id
    AND status = 0 AND id + 0 >= @first::bigint AND id <> ALL (@avoid::bigint[])
ORDER BY id + 0
LIMIT @max_rows::integer;

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

-- name: RetryTasks :many
-- Failed tasks, back to pending. By primary key, as FinishTasks.
UPDATE tasks
SET status = 0,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = ANY (@ids::bigint[]) AND status + 0 = 3
RETURNING id;
