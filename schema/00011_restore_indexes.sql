-- The six documented single-column indexes, for a table that was made without some of them. Where all are
-- there, each step finds nothing to do.
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
            ('idx_integration_id', 'btree (integration_id)'),
            ('idx_user_id', 'btree (user_id)'),
            ('idx_client_id', 'btree (client_id)'),
            ('idx_account_id', 'btree (account_id)'),
            ('idx_template_id', 'btree (template_id)'),
            ('idx_status', 'btree (status)')
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
DROP INDEX CONCURRENTLY IF EXISTS idx_integration_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_integration_id ON tasks (integration_id);
DROP INDEX CONCURRENTLY IF EXISTS idx_user_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_user_id ON tasks (user_id);
DROP INDEX CONCURRENTLY IF EXISTS idx_client_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_client_id ON tasks (client_id);
DROP INDEX CONCURRENTLY IF EXISTS idx_account_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_account_id ON tasks (account_id);
DROP INDEX CONCURRENTLY IF EXISTS idx_template_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_template_id ON tasks (template_id);
DROP INDEX CONCURRENTLY IF EXISTS idx_status_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_status ON tasks (status);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    missing text;
BEGIN
    -- taskmigrate runs this block first, too: where it succeeds there is nothing to do, and the file is only recorded.
    SELECT string_agg(wanted.name, ', ') INTO missing
    FROM (VALUES
        ('idx_integration_id', 'btree (integration_id)'),
        ('idx_user_id', 'btree (user_id)'),
        ('idx_client_id', 'btree (client_id)'),
        ('idx_account_id', 'btree (account_id)'),
        ('idx_template_id', 'btree (template_id)'),
        ('idx_status', 'btree (status)')
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
-- Nothing to undo: these indexes belong to the first migration.
