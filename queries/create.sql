-- name: CreateKeyedTask :many
-- As CreateKeyedTasks, for one task: the row as stored, or the one that has the key. None if that one was stored while
-- this statement ran, so that its snapshot does not show it.
WITH drawn AS MATERIALIZED (
    SELECT nextval(pg_get_serial_sequence('tasks', 'id')::regclass) AS id
), orphan AS MATERIALIZED (
    SELECT held.task_id
    FROM task_keys AS held
    WHERE held.key = @key AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = held.task_id)
), keyed AS (
    INSERT INTO task_keys AS held (key, task_id)
    SELECT @key, drawn.id FROM drawn
    ON CONFLICT (key) DO UPDATE SET task_id = CASE
        WHEN held.task_id = (SELECT orphan.task_id FROM orphan) THEN excluded.task_id
        ELSE held.task_id
    END
    RETURNING held.task_id
), stored AS (
    INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
    OVERRIDING SYSTEM VALUE
    SELECT drawn.id, @integration_id, @user_id, @client_id, @account_id, @template_id, @argument
    FROM drawn JOIN keyed ON keyed.task_id = drawn.id
    RETURNING *
)
SELECT stored.* FROM stored
UNION ALL
SELECT tasks.* FROM tasks JOIN keyed ON keyed.task_id = tasks.id
UNION ALL
SELECT ('a trigger or rule of tasks drops the row or changes its id, which was ' || drawn.id)::bigint,
    0, 0, 0, 0, 0, '', 0, 0, 0
FROM drawn JOIN keyed ON keyed.task_id = drawn.id
WHERE NOT EXISTS (SELECT FROM stored WHERE stored.id = drawn.id)
LIMIT 2; -- there is one at most; with 1 the check would not run

-- name: CreateKeyedTasks :one
-- As CreateTasks, for tasks of which some have a key: what has a new key is stored with it, what has a key that is
-- taken is not stored, and the ids are those of the tasks that have the keys. Of several rows with one key the first
-- is stored. An empty key is none.
--
-- Safe when two callers use one key at once: the second waits for the first one's row of task_keys and finds its
-- task's id there, whatever its own snapshot shows. A key is taken over only if its task is gone: both were inserted
-- together, so where a snapshot shows the key without the task, the task was deleted; and a row that changed
-- since is not the orphan that was seen. Keys are written in their order, so that two batches do not deadlock.
WITH drawn AS MATERIALIZED (
    SELECT array_agg(nextval(owned.seq))::bigint[] AS ids
    FROM (SELECT pg_get_serial_sequence('tasks', 'id')::regclass AS seq OFFSET 0) AS owned,
        generate_series(1, cardinality(@integration_ids::bigint[]))
), input AS MATERIALIZED (
    SELECT
        unnest(drawn.ids) AS id,
        unnest(@integration_ids::bigint[]) AS integration_id,
        unnest(@user_ids::bigint[]) AS user_id,
        unnest(@client_ids::bigint[]) AS client_id,
        unnest(@account_ids::bigint[]) AS account_id,
        unnest(@template_ids::bigint[]) AS template_id,
        unnest(@arguments::text[]) AS argument,
        unnest(@keys::text[]) COLLATE "C" AS key,
        generate_subscripts(@keys::text[], 1) AS position
    FROM drawn
), orphans AS MATERIALIZED (
    SELECT held.key, held.task_id
    FROM task_keys AS held
    WHERE held.key = ANY (@keys::text[]) AND NOT EXISTS (SELECT FROM tasks WHERE tasks.id = held.task_id)
), keyed AS (
    INSERT INTO task_keys AS held (key, task_id)
    SELECT DISTINCT ON (input.key) input.key, input.id
    FROM input
    WHERE input.key <> ''
    ORDER BY input.key, input.position
    ON CONFLICT (key) DO UPDATE SET task_id = CASE
        WHEN EXISTS (SELECT FROM orphans WHERE orphans.key = held.key AND orphans.task_id = held.task_id)
            THEN excluded.task_id
        ELSE held.task_id
    END
    RETURNING held.key, held.task_id
), wanted AS MATERIALIZED (
    SELECT input.*, coalesce(keyed.task_id, input.id) AS task_id
    FROM input LEFT JOIN keyed ON keyed.key = input.key
), stored AS (
    INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
    OVERRIDING SYSTEM VALUE
    SELECT id, integration_id, user_id, client_id, account_id, template_id, argument
    FROM wanted
    WHERE id = task_id
    RETURNING tasks.id
)
SELECT CASE
    WHEN (SELECT array_agg(stored.id ORDER BY stored.id) FROM stored)
        IS NOT DISTINCT FROM
        (SELECT array_agg(wanted.id ORDER BY wanted.id) FROM wanted WHERE wanted.id = wanted.task_id)
        THEN (SELECT array_agg(wanted.task_id ORDER BY wanted.position) FROM wanted)
    ELSE ARRAY[('a trigger or rule of tasks drops rows or changes their ids: of '
        || (SELECT count(*) FROM wanted WHERE wanted.id = wanted.task_id) || ' tasks '
        || (SELECT count(*) FROM stored JOIN wanted USING (id)) || ' would be stored as asked')::bigint]
END::bigint[] AS ids;

-- name: CreateTask :one
-- The table's defaults give the id, the status and both times.
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
VALUES (@integration_id, @user_id, @client_id, @account_id, @template_id, @argument)
RETURNING *;

-- name: CreateTasks :one
-- Any number of rows in one statement, all or none, and their ids in the order of the input. The ids are drawn
-- first and stored with the rows, so that nothing depends on the order in which rows are stored or returned. Where a
-- trigger or rule of somebody else drops a row or changes its id, the last cast fails, and with it the statement: the
-- text that it cannot read is the message.
WITH drawn AS MATERIALIZED (
    SELECT array_agg(nextval(owned.seq))::bigint[] AS ids
    FROM (SELECT pg_get_serial_sequence('tasks', 'id')::regclass AS seq OFFSET 0) AS owned,
        generate_series(1, cardinality(@integration_ids::bigint[]))
), stored AS (
    INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
    OVERRIDING SYSTEM VALUE
    SELECT
        unnest(drawn.ids),
        unnest(@integration_ids::bigint[]),
        unnest(@user_ids::bigint[]),
        unnest(@client_ids::bigint[]),
        unnest(@account_ids::bigint[]),
        unnest(@template_ids::bigint[]),
        unnest(@arguments::text[])
    FROM drawn
    RETURNING tasks.id
)
SELECT CASE
    WHEN (SELECT array_agg(stored.id ORDER BY stored.id) FROM stored)
        = (SELECT array_agg(id ORDER BY id) FROM unnest(drawn.ids) AS id)
        THEN drawn.ids
    ELSE ARRAY[('a trigger or rule of tasks drops rows or changes their ids: of ' || cardinality(drawn.ids) || ' tasks '
        || (SELECT count(*) FROM stored WHERE stored.id = ANY (drawn.ids)) || ' would be stored as asked')::bigint]
END::bigint[] AS ids
FROM drawn;

-- name: CreateTasksShared :many
-- As CreateTasks, for a few tasks of several callers: the rows as stored, each with its place in the input.
WITH drawn AS MATERIALIZED (
    SELECT array_agg(nextval(owned.seq))::bigint[] AS ids
    FROM (SELECT pg_get_serial_sequence('tasks', 'id')::regclass AS seq OFFSET 0) AS owned,
        generate_series(1, cardinality(@integration_ids::bigint[]))
), stored AS (
    INSERT INTO tasks (id, integration_id, user_id, client_id, account_id, template_id, argument)
    OVERRIDING SYSTEM VALUE
    SELECT
        unnest(drawn.ids),
        unnest(@integration_ids::bigint[]),
        unnest(@user_ids::bigint[]),
        unnest(@client_ids::bigint[]),
        unnest(@account_ids::bigint[]),
        unnest(@template_ids::bigint[]),
        unnest(@arguments::text[])
    FROM drawn
    RETURNING *
)
SELECT stored.*, CASE
    WHEN (SELECT count(*) FROM stored) = cardinality(drawn.ids) AND stored.id = ANY (drawn.ids)
        THEN array_position(drawn.ids, stored.id)
    ELSE ('a trigger or rule of tasks drops rows or changes their ids: '
        || cardinality(drawn.ids) || ' were asked for')::bigint
END::bigint AS position
FROM stored CROSS JOIN drawn;
