-- name: DeleteTask :one
-- By primary key, its key by idx_task_keys_task_id, and its failures. Says how many tasks that were: a trigger of
-- somebody else may keep it, and then it keeps its key.
WITH gone AS (
    DELETE FROM tasks WHERE id = @id RETURNING id
), keys AS (
    DELETE FROM task_keys WHERE task_id = (SELECT gone.id FROM gone)
), failures AS (
    DELETE FROM task_failures WHERE task_id = (SELECT gone.id FROM gone)
)
SELECT count(*) FROM gone;

-- name: SetTaskStatus :one
-- By primary key, and only the version that the caller has seen, as UpdateTask.
UPDATE tasks
SET status = @status::integer,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = @id AND updated_at = @version::bigint
RETURNING *;

-- name: UpdateTask :one
-- By primary key, and only the version that the caller has seen: of two callers who read the same row
-- one wins. Safe under concurrency: the second waits for the first one's row lock, and READ COMMITTED
-- then evaluates the WHERE again on the new row; stricter levels fail with 40001.
UPDATE tasks
SET integration_id = @integration_id,
    user_id = @user_id,
    client_id = @client_id,
    account_id = @account_id,
    template_id = @template_id,
    argument = @argument,
    updated_at = greatest((extract(epoch FROM statement_timestamp()) * 1000)::bigint, updated_at + 1)
WHERE id = @id AND updated_at = @version::bigint
RETURNING *;
