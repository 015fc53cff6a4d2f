-- name: DeleteFinished :many
-- Tasks that ended before a time, oldest first, within one slice of the primary key, so that a statement
-- is short however many rows there are. Without row locks, and safe: a row that is retried meanwhile no
-- longer meets the outer condition when its lock is granted.
DELETE FROM tasks
WHERE id = ANY (ARRAY(
        SELECT old.id FROM tasks AS old
        WHERE old.id BETWEEN @first AND @last
            AND old.status IN (2, 3) AND old.updated_at < @before::bigint
        ORDER BY old.id
        LIMIT @max_rows::integer))
    AND status IN (2, 3) AND updated_at < @before::bigint
RETURNING id;

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

-- name: NextSlice :one
-- The next rows of the primary key: how many there are and where they end, how many DeleteFinished would
-- delete and the first that it would not, and how many were created or last changed before that time.
SELECT
    count(*) AS tasks,
    coalesce(max(id), 0)::bigint AS last,
    count(*) FILTER (WHERE old AND status IN (2, 3)) AS finished,
    coalesce(min(id) FILTER (WHERE NOT old OR status NOT IN (2, 3)), 9223372036854775807)::bigint AS kept,
    count(*) FILTER (WHERE old OR created_at < @before::bigint) AS older
FROM (
    SELECT id, status, created_at, updated_at < @before::bigint AS old FROM tasks
    WHERE id >= @first ORDER BY id LIMIT @max_rows::integer) AS slice;
