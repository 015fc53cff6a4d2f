-- The six documented single-column indexes, for a table that was made without some of them.
-- Where all are there, each step finds nothing to do.
--
-- Each step can be repeated and none blocks a read or a write, so that the file may stop anywhere and
-- be run again. IF NOT EXISTS alone would take the INVALID index that an interrupted build leaves
-- behind, or an index of that name on other columns, for the finished one: hence the step before
-- the build and the check after it. DROP INDEX CONCURRENTLY cannot be conditional, so the leftover
-- is renamed first (which locks that index alone) and dropped under the new name.

-- +goose NO TRANSACTION
-- +goose Up
-- idx_integration_id: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_integration_id, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_integration_id') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_integration_id RENAME TO idx_integration_id_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_integration_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_integration_id ON tasks (integration_id);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (integration_id)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_integration_id') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_integration_id is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- idx_user_id: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_user_id, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_user_id') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_user_id RENAME TO idx_user_id_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_user_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_user_id ON tasks (user_id);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (user_id)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_user_id') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_user_id is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- idx_client_id: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_client_id, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_client_id') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_client_id RENAME TO idx_client_id_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_client_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_client_id ON tasks (client_id);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (client_id)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_client_id') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_client_id is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- idx_account_id: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_account_id, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_account_id') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_account_id RENAME TO idx_account_id_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_account_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_account_id ON tasks (account_id);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (account_id)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_account_id') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_account_id is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- idx_template_id: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_template_id, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_template_id') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_template_id RENAME TO idx_template_id_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_template_id_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_template_id ON tasks (template_id);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (template_id)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_template_id') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_template_id is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- idx_status: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_status, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_status') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_status RENAME TO idx_status_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_status_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_status ON tasks (status);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (status)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_status') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_status is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
-- Nothing to undo: these indexes belong to the first migration.
