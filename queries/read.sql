-- name: CountByStatus :many
-- One row a status that occurs; idx_status alone answers it where the table is well vacuumed.
SELECT status, count(*) AS tasks FROM tasks GROUP BY status;

-- name: CountPendingByBatch :one
-- idx_tasks_pending_batch: independent of the batch's finished tasks. The literal lets the planner use it.
SELECT count(*) FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id
    AND status + 0 = 0;

-- name: CountTasks :one
-- Reads the whole table or its smallest index.
SELECT count(*) FROM tasks;

-- name: CountTasksByAccount :one
-- idx_account_id.
SELECT count(*) FROM tasks WHERE account_id = @account_id;

-- name: CountTasksByAccountWithStatus :one
-- idx_account_id, alone or together with idx_status.
SELECT count(*) FROM tasks WHERE account_id = @account_id AND status = @status::integer;

-- name: CountTasksByBatch :one
-- idx_task.
SELECT count(*) FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id;

-- name: CountTasksByBatchWithStatus :one
-- idx_task, then the rows for their status.
SELECT count(*) FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id
    AND status = @status::integer;

-- name: CountTasksByClient :one
-- idx_client_id.
SELECT count(*) FROM tasks WHERE client_id = @client_id;

-- name: CountTasksByClientWithStatus :one
-- idx_client_id, alone or together with idx_status.
SELECT count(*) FROM tasks WHERE client_id = @client_id AND status = @status::integer;

-- name: CountTasksByIntegration :one
-- idx_integration_id.
SELECT count(*) FROM tasks WHERE integration_id = @integration_id;

-- name: CountTasksByIntegrationWithStatus :one
-- idx_integration_id, alone or together with idx_status.
SELECT count(*) FROM tasks WHERE integration_id = @integration_id AND status = @status::integer;

-- name: CountTasksByTemplate :one
-- idx_template_id.
SELECT count(*) FROM tasks WHERE template_id = @template_id;

-- name: CountTasksByTemplateWithStatus :one
-- idx_template_id, alone or together with idx_status.
SELECT count(*) FROM tasks WHERE template_id = @template_id AND status = @status::integer;

-- name: CountTasksByUser :one
-- idx_user_id.
SELECT count(*) FROM tasks WHERE user_id = @user_id;

-- name: CountTasksByUserWithStatus :one
-- idx_user_id, alone or together with idx_status.
SELECT count(*) FROM tasks WHERE user_id = @user_id AND status = @status::integer;

-- name: CountTasksWithStatus :one
-- idx_status.
SELECT count(*) FROM tasks WHERE status = @status::integer;

-- name: GetTask :one
-- By primary key.
SELECT * FROM tasks WHERE id = @id;

-- name: GetTaskByKey :one
-- By the primary key of task_keys, then of tasks.
SELECT tasks.* FROM task_keys JOIN tasks ON tasks.id = task_keys.task_id WHERE task_keys.key = @key;

-- name: ListFailures :many
-- By primary key.
SELECT * FROM task_failures WHERE task_id = ANY (@ids::bigint[]);

-- name: ListPending :many
-- idx_tasks_pending, read backwards: a page costs its rows. The literal lets the planner use it.
SELECT * FROM tasks
WHERE status = 0 AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListPendingByBatch :many
-- idx_tasks_pending_batch, read backwards: independent of the batch's finished tasks and of other batches.
-- The literal lets the planner use it, and id + 0 leaves it no other: see ClaimTasksByBatch.
SELECT * FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id
    AND status + 0 = 0 AND id + 0 <= @last::bigint
ORDER BY id + 0 DESC
LIMIT @max_rows::integer;

-- name: ListTasks :many
-- The primary key, from its end. Every list reads newest first, a page from the last id downwards
-- (keyset, never OFFSET). There is one query an index and none that serves several columns by
-- `@x IS NULL OR …`: a generic plan of such a query can use no index.
SELECT * FROM tasks
WHERE id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByAccount :many
-- idx_account_id, or the primary key where the value is common.
SELECT * FROM tasks
WHERE account_id = @account_id AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByAccountWithStatus :many
-- idx_account_id, alone or together with idx_status, or the primary key.
SELECT * FROM tasks
WHERE account_id = @account_id AND status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByBatch :many
-- idx_task.
SELECT * FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id
    AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByBatchWithStatus :many
-- idx_task, then the rows for their status.
SELECT * FROM tasks
WHERE integration_id = @integration_id AND client_id = @client_id AND template_id = @template_id
    AND status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByClient :many
-- idx_client_id, or the primary key where the value is common.
SELECT * FROM tasks
WHERE client_id = @client_id AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByClientWithStatus :many
-- idx_client_id, alone or together with idx_status, or the primary key.
SELECT * FROM tasks
WHERE client_id = @client_id AND status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByIntegration :many
-- idx_integration_id, or the primary key where the value is common.
SELECT * FROM tasks
WHERE integration_id = @integration_id AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByIntegrationWithStatus :many
-- idx_integration_id, alone or together with idx_status, or the primary key.
SELECT * FROM tasks
WHERE integration_id = @integration_id AND status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByTemplate :many
-- idx_template_id, or the primary key where the value is common.
SELECT * FROM tasks
WHERE template_id = @template_id AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByTemplateWithStatus :many
-- idx_template_id, alone or together with idx_status, or the primary key.
SELECT * FROM tasks
WHERE template_id = @template_id AND status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByUser :many
-- idx_user_id, or the primary key where the value is common.
SELECT * FROM tasks
WHERE user_id = @user_id AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksByUserWithStatus :many
-- idx_user_id, alone or together with idx_status, or the primary key.
SELECT * FROM tasks
WHERE user_id = @user_id AND status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;

-- name: ListTasksWithStatus :many
-- idx_status, or the primary key where the status is common.
SELECT * FROM tasks
WHERE status = @status::integer AND id <= @last
ORDER BY id DESC
LIMIT @max_rows::integer;
