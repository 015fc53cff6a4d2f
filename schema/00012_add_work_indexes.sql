-- What workers need and the document does not have: the pending tasks in order of age, of all tasks, and of one batch,
-- one integration and one template.
-- The indexes are partial, so finished tasks cost a claim nothing; a query has to repeat an index's condition
-- literally for the planner to use it. None of them has updated_at: with it, each heartbeat would rewrite all indexes.
-- Each of `id + 0`, `id - 0` and `id * 1` is the id, and of `status + 0`, `status - 0` and `status * 1` the status, in
-- a form that one index alone serves, so that the planner cannot look for one owner's tasks among those of others, or
-- among all that idx_status has. It would do so where its statistics say that hardly anything is pending, and beside an
-- old snapshot that costs a visit to each task that was pending once. And as an expression the id has
-- statistics of its own, of pending tasks alone.
--
-- Reads and writes go on throughout. The file may stop anywhere and be run again. IF NOT EXISTS alone would
-- accept any index of that name, also an INVALID one that an interrupted build has left. So the first block
-- looks at what is there, and the last one at what came of it. DROP INDEX CONCURRENTLY cannot be conditional:
-- the first block renames a leftover to …_invalid, and the DROP removes it under that name.

-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks, once nobody else builds an index on it
DECLARE
    candidate record;
    -- There CREATE INDEX CONCURRENTLY IF NOT EXISTS marks a valid index of that name INVALID. So all are built anew.
    on_citus  CONSTANT boolean := to_regclass('pg_dist_partition') IS NOT NULL;
BEGIN
    -- Wait while others build an index on tasks. CREATE INDEX below would wait too, even where its index is there, but
    -- with a snapshot: their build waits for each older snapshot, and the server would end it as a deadlock. So this
    -- LOCK waits without one. COMMIT gives the snapshot up, and the weak LOCK before it has read the catalog into the
    -- session's cache, which needs one. A build gives its lock up just before it commits that its index is valid:
    -- hence the loop while somebody's transaction has a new version of an index's row.
    LOCK TABLE tasks IN ACCESS SHARE MODE;
    LOOP
        COMMIT;
        LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE;
        EXIT WHEN NOT EXISTS (
            SELECT FROM pg_index JOIN pg_locks ON transactionid = pg_index.xmax WHERE indrelid = 'tasks'::regclass);
        PERFORM pg_sleep(0.01);
    END LOOP;

    -- Whatever has an index's name or its leftover's, where tasks lives, or where DROP would find it.
    FOR candidate IN
        SELECT wanted.name, wanted.definition, found.oid::regclass AS found,
            found.relname = wanted.name AS has_its_name, indisvalid AS valid,
            indrelid = tasks.oid AND NOT indisunique AND wanted.definition
                = regexp_replace(pg_get_indexdef(found.oid), '^.* USING | WITH \([^)]*\)', '', 'g') AS as_wanted
        FROM (VALUES
            ('idx_tasks_pending', 'btree (id) WHERE (status = 0)'),
            ('idx_tasks_pending_batch',
             'btree (integration_id, client_id, template_id, ((id + 0))) WHERE ((status + 0) = 0)'),
            ('idx_tasks_pending_integration', 'btree (integration_id, ((id - 0))) WHERE ((status - 0) = 0)'),
            ('idx_tasks_pending_template', 'btree (template_id, ((id * 1))) WHERE ((status * 1) = 0)')
        ) AS wanted (name, definition)
        JOIN pg_class AS tasks ON tasks.oid = 'tasks'::regclass
        JOIN pg_class AS found
            ON found.relnamespace = tasks.relnamespace AND found.relname IN (wanted.name, wanted.name || '_invalid')
            OR found.oid = to_regclass(wanted.name || '_invalid')
        LEFT JOIN pg_index ON indexrelid = found.oid
    LOOP
        IF candidate.as_wanted IS NOT TRUE OR candidate.valid AND NOT candidate.has_its_name AND NOT on_citus THEN
            RAISE EXCEPTION '% is in the way of index %: %', candidate.found, candidate.name,
                coalesce(pg_get_indexdef(candidate.found), 'it is no index')
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('Wanted is %s. Nothing was changed.', candidate.definition),
                      HINT = format('Rename or drop %s, then run the migration again.', candidate.found);
        ELSIF candidate.has_its_name AND (NOT candidate.valid OR on_citus) THEN
            EXECUTE format('ALTER INDEX IF EXISTS %s RENAME TO %I', candidate.found, candidate.name || '_invalid');
        END IF;
    END LOOP;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_pending ON tasks (id) WHERE status = 0;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_batch_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_pending_batch
    ON tasks (integration_id, client_id, template_id, (id + 0)) WHERE status + 0 = 0;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_integration_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_pending_integration
    ON tasks (integration_id, (id - 0)) WHERE status - 0 = 0;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_template_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_pending_template
    ON tasks (template_id, (id * 1)) WHERE status * 1 = 0;
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    missing text;
BEGIN
    -- taskmigrate runs this block first, too: where it succeeds there is nothing to do, and the file is only recorded.
    SELECT string_agg(wanted.name, ', ') INTO missing
    FROM (VALUES
        ('idx_tasks_pending', 'btree (id) WHERE (status = 0)'),
        ('idx_tasks_pending_batch',
         'btree (integration_id, client_id, template_id, ((id + 0))) WHERE ((status + 0) = 0)'),
        ('idx_tasks_pending_integration', 'btree (integration_id, ((id - 0))) WHERE ((status - 0) = 0)'),
        ('idx_tasks_pending_template', 'btree (template_id, ((id * 1))) WHERE ((status * 1) = 0)')
    ) AS wanted (name, definition)
    WHERE NOT EXISTS (
        SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
        WHERE indrelid = 'tasks'::regclass AND relname = wanted.name AND indisvalid AND NOT indisunique
            AND wanted.definition
                = regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g'))
        OR EXISTS (
            SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
            WHERE indrelid = 'tasks'::regclass AND relname = wanted.name || '_invalid');
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'index missing, not valid or of another definition: %', missing
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Somebody has changed the indexes of tasks while this migration ran.',
                  HINT = 'Run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks, once nobody else builds an index on it
DECLARE
    other regclass;
BEGIN
    -- Waits as the Up does. DROP takes the first index of that name on the search path: it has to be one of tasks.
    LOCK TABLE tasks IN ACCESS SHARE MODE;
    LOOP
        COMMIT;
        LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE;
        EXIT WHEN NOT EXISTS (
            SELECT FROM pg_index JOIN pg_locks ON transactionid = pg_index.xmax WHERE indrelid = 'tasks'::regclass);
        PERFORM pg_sleep(0.01);
    END LOOP;
    SELECT indexrelid INTO other FROM pg_index
    WHERE indrelid <> 'tasks'::regclass AND indexrelid IN (
        to_regclass('idx_tasks_pending'), to_regclass('idx_tasks_pending_batch'),
        to_regclass('idx_tasks_pending_integration'), to_regclass('idx_tasks_pending_template'));
    IF FOUND THEN
        RAISE EXCEPTION 'index % belongs to another table, and DROP INDEX would take it for that of tasks', other
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  DETAIL = 'Nothing was changed.',
                  HINT = 'Put the schema of tasks first in search_path, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_template;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_integration;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_batch;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending;
