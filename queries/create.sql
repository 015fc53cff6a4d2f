-- name: CopyTasks :copyfrom
-- Many rows at COPY's speed. COPY returns nothing, so the ids come from ReserveIDs.
INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: CreateTask :one
-- The table's defaults give the id, the status and both times.
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
VALUES (@integration_id, @user_id, @client_id, @account_id, @template_id, @argument)
RETURNING id, status, created_at, updated_at;

-- name: CreateTasks :many
-- A few rows in one statement and one round trip. Defaults are computed after the sort, so the ids
-- rise in the order of the input: sorted, they are the ids of the input's rows.
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
SELECT integration_id, user_id, client_id, account_id, template_id, argument
FROM (
    SELECT
        unnest(@integration_ids::bigint[]) AS integration_id,
        unnest(@user_ids::bigint[]) AS user_id,
        unnest(@client_ids::bigint[]) AS client_id,
        unnest(@account_ids::bigint[]) AS account_id,
        unnest(@template_ids::bigint[]) AS template_id,
        unnest(@arguments::text[]) AS argument,
        generate_subscripts(@integration_ids::bigint[], 1) AS position
) AS input
ORDER BY position
RETURNING id, status, created_at, updated_at;

-- name: ReserveIDs :one
-- Takes ids from the table's own sequence, wherever it lives and whatever its name is. The sequence is
-- looked up once, not once a row, and the ids come back as one value.
SELECT array_agg(nextval(seq))::bigint[] AS ids
FROM (SELECT pg_get_serial_sequence('tasks', 'id')::regclass AS seq OFFSET 0) AS owned, generate_series(1, @n::integer);
