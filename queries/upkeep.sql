-- name: CountFailureReasons :many
-- Why tasks have failed that are still failed, by the first line of the last reason: of the newest @max_rows tasks of
-- which a failure is known. The primary key of task_failures from its end, then the tasks by theirs.
WITH known AS MATERIALIZED (
    SELECT task_id, reason, failed_at FROM task_failures ORDER BY task_id DESC LIMIT @max_rows::integer
), failed AS (
    SELECT id FROM tasks WHERE id = ANY (ARRAY(SELECT known.task_id FROM known)) AND status + 0 = 3
)
SELECT
    left(split_part(known.reason, chr(10), 1), 200)::text AS first_line,
    count(*) AS tasks,
    max(known.failed_at)::bigint AS last_at
FROM known JOIN failed ON failed.id = known.task_id
GROUP BY first_line
ORDER BY tasks DESC, first_line
LIMIT 100;

-- name: DeleteFinished :one
-- Tasks that ended before a time, oldest first, within one slice of the primary key, so that a statement is short
-- however many rows there are; with them the keys of the slice that have no task any more, and the failures of
-- tasks that are gone or were completed in the end. A row that somebody has locked is passed by: in a side table, until
-- a later pass. Says how many were picked, the last of them, and how many were deleted: a trigger of somebody else may
-- keep some.
--
-- Safe: as ClaimTasks; a row that was retried meanwhile is seen under the lock. A key that was taken over since the
-- snapshot has another task_id then, and what is known of a task that failed again has another count: both stay.
WITH picked AS MATERIALIZED (
    SELECT old.id FROM tasks AS old
    WHERE old.id BETWEEN @first AND @last
        AND old.status IN (2, 3) AND old.updated_at < @before::bigint
    ORDER BY old.id
    LIMIT @max_rows::integer
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM tasks WHERE id = ANY (ARRAY(SELECT picked.id FROM picked)) RETURNING id
), freed AS MATERIALIZED (
    SELECT held.key, held.task_id FROM task_keys AS held
    WHERE held.task_id BETWEEN @first AND @last
        AND (held.task_id IN (SELECT gone.id FROM gone)
             OR NOT EXISTS (SELECT FROM tasks WHERE tasks.id = held.task_id))
), keys AS (
    DELETE FROM task_keys WHERE key = ANY (ARRAY(
        SELECT held.key FROM task_keys AS held
        WHERE held.task_id BETWEEN @first AND @last
            AND (held.key, held.task_id) IN (SELECT freed.key, freed.task_id FROM freed)
        FOR UPDATE SKIP LOCKED))
), idle AS MATERIALIZED (
    SELECT known.task_id, known.failures FROM task_failures AS known
    WHERE known.task_id BETWEEN @first AND @last
        AND (known.task_id IN (SELECT gone.id FROM gone)
             OR NOT EXISTS (SELECT FROM tasks WHERE tasks.id = known.task_id AND tasks.status <> 2))
), failures AS (
    DELETE FROM task_failures WHERE task_id = ANY (ARRAY(
        SELECT known.task_id FROM task_failures AS known
        WHERE known.task_id BETWEEN @first AND @last
            AND (known.task_id, known.failures) IN (SELECT idle.task_id, idle.failures FROM idle)
        FOR UPDATE SKIP LOCKED))
)
SELECT
    (SELECT count(*) FROM picked) AS picked,
    coalesce((SELECT max(picked.id) FROM picked), 0)::bigint AS last_picked,
    (SELECT count(*) FROM gone) AS deleted;

-- name: GetBacklog :one
-- idx_tasks_pending for what is pending, idx_status for the rest: completed tasks are not read.
SELECT
    pending.tasks AS pending,
    processing.tasks AS processing,
    failed.tasks AS failed,
    coalesce(oldest.created_at, 0)::bigint AS oldest_pending
FROM (SELECT count(*) AS tasks FROM tasks WHERE status = 0) AS pending
CROSS JOIN (SELECT count(*) AS tasks FROM tasks WHERE status = 1) AS processing
CROSS JOIN (SELECT count(*) AS tasks FROM tasks WHERE status = 3) AS failed
LEFT JOIN (SELECT created_at FROM tasks WHERE status = 0 ORDER BY id LIMIT 1) AS oldest ON true;

-- name: ListAhead :many
-- Tasks in processing whose version lies ahead of the clock, so that they never seem silent. idx_status.
SELECT id, updated_at FROM tasks
WHERE status = 1
    AND updated_at > (extract(epoch FROM statement_timestamp()) * 1000)::bigint + 1000
    AND (sqlc.narg(integration_id)::bigint IS NULL OR integration_id = sqlc.narg(integration_id))
    AND (sqlc.narg(client_id)::bigint IS NULL OR client_id = sqlc.narg(client_id))
    AND (sqlc.narg(template_id)::bigint IS NULL OR template_id = sqlc.narg(template_id))
ORDER BY id
LIMIT @max_rows::integer;

-- name: ListFinished :many
-- What DeleteFinished would delete of a slice. By primary key.
SELECT id FROM tasks
WHERE id BETWEEN @first AND @last AND status IN (2, 3) AND updated_at < @before::bigint
ORDER BY id
LIMIT @max_rows::integer;

-- name: NewestID :one
-- The end of the primary key.
SELECT coalesce(max(id), 0)::bigint FROM tasks;

-- name: NextSlice :one
-- The next rows of the primary key: where they end, how many of them DeleteFinished would delete, and whether that part
-- has rows of side tables to delete.
SELECT slice.*, (
    EXISTS (
        SELECT FROM task_keys AS held
        WHERE held.task_id BETWEEN @first AND slice.last
            AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = held.task_id))
    OR EXISTS (
        SELECT FROM task_failures AS known
        WHERE known.task_id BETWEEN @first AND slice.last
            AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = known.task_id AND tasks.status <> 2))
    )::boolean AS orphans
FROM (
    SELECT
        CASE WHEN count(*) < @max_rows::integer THEN 9223372036854775807 ELSE max(id) END::bigint AS last,
        count(*) FILTER (WHERE status IN (2, 3) AND updated_at < @before::bigint) AS finished
    FROM (
        SELECT id, status, updated_at FROM tasks
        WHERE id >= @first ORDER BY id LIMIT @max_rows::integer) AS page) AS slice;

-- name: ShareBacklog :many
-- Who has what of the tasks that are not completed: all of them together (others is 3), each integration (1), and each
-- template (2), the largest first. Of each status at most @max_rows tasks are read, however many there are.
-- idx_tasks_pending and idx_status: the range and the ORDER BY have the planner follow that index and stop, where for
-- `status = 3` it could as well read the whole table until it has found enough.
SELECT
    grouping(integration_id, template_id)::integer AS others,
    coalesce(integration_id, template_id, 0)::bigint AS id,
    count(*) FILTER (WHERE status = 0) AS pending,
    count(*) FILTER (WHERE status = 1) AS processing,
    count(*) FILTER (WHERE status = 1 AND updated_at
        <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint - @silent_for_ms::bigint) AS silent,
    count(*) FILTER (WHERE status = 3) AS failed
FROM (
    (SELECT integration_id, template_id, status, updated_at FROM tasks
     WHERE status = 0 ORDER BY id LIMIT @max_rows::integer)
    UNION ALL
    (SELECT integration_id, template_id, status, updated_at FROM tasks
     WHERE status BETWEEN 1 AND 1 ORDER BY status LIMIT @max_rows::integer)
    UNION ALL
    (SELECT integration_id, template_id, status, updated_at FROM tasks
     WHERE status BETWEEN 3 AND 3 ORDER BY status LIMIT @max_rows::integer)
) AS unfinished
GROUP BY GROUPING SETS ((), (integration_id), (template_id))
ORDER BY count(*) DESC, others DESC, id
LIMIT 1000;
