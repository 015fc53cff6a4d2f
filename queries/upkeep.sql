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
-- The next rows of the primary key: where they end, how many there are, and how many of them were
-- created before a time.
SELECT
    coalesce(max(id), 0)::bigint AS last,
    count(*) AS tasks,
    count(*) FILTER (WHERE created_at < @before::bigint) AS older
FROM (SELECT id, created_at FROM tasks WHERE id >= @first ORDER BY id LIMIT @max_rows::integer) AS slice;
