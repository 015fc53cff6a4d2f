-- The documented composite index that production lacks: it locates one batch of tasks.
--
-- Each step can be repeated and none blocks a read or a write, so that the file may stop anywhere and
-- be run again. IF NOT EXISTS alone would take the INVALID index that an interrupted build leaves
-- behind, or an index of that name on other columns, for the finished one: hence the step before
-- the build and the check after it. DROP INDEX CONCURRENTLY cannot be conditional, so the leftover
-- is renamed first (which locks that index alone) and dropped under the new name.

-- +goose NO TRANSACTION
-- +goose Up
-- idx_task: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_task, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_task') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_task RENAME TO idx_task_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_task_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_task ON tasks (integration_id, client_id, template_id);
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (integration_id, client_id, template_id)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_task') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_task is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS idx_task;
