-- What workers need and the document does not have: pending tasks in order of age, of all and of one
-- batch. Partial, so that finished tasks cost a claim nothing. A query must carry the literal
-- `status = 0` for the planner to use them. Neither mentions updated_at: an index that does would
-- make every heartbeat rewrite all indexes. `id + 0` is for the planner: no other index serves a bound or an
-- order on it, so that a batch's tasks are not looked for among all, and as an expression it has statistics of
-- its own, of pending tasks alone.
--
-- Each step can be repeated and none blocks a read or a write, so that the file may stop anywhere and
-- be run again. IF NOT EXISTS alone would take the INVALID index that an interrupted build leaves
-- behind, or an index of that name on other columns, for the finished one: hence the step before
-- the build and the check after it. DROP INDEX CONCURRENTLY cannot be conditional, so the leftover
-- is renamed first (which locks that index alone) and dropped under the new name.

-- +goose NO TRANSACTION
-- +goose Up
-- idx_tasks_pending: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_tasks_pending, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_tasks_pending') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_tasks_pending RENAME TO idx_tasks_pending_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_pending ON tasks (id) WHERE status = 0;
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (id) WHERE (status = 0)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_tasks_pending') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_tasks_pending is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- idx_tasks_pending_batch: move an invalid leftover aside, drop it, build, check.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on an invalid leftover of idx_tasks_pending_batch, if there is one
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('idx_tasks_pending_batch') AND indrelid = to_regclass('tasks') AND NOT indisvalid) THEN
        ALTER INDEX idx_tasks_pending_batch RENAME TO idx_tasks_pending_batch_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_batch_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_tasks_pending_batch ON tasks (integration_id, client_id, template_id, (id + 0)) WHERE status = 0;
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on the catalog
DECLARE
    wanted CONSTANT text := 'btree (integration_id, client_id, template_id, ((id + 0))) WHERE (status = 0)';
    actual text;
BEGIN
    SELECT regexp_replace(pg_get_indexdef(indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') INTO actual
    FROM pg_index
    WHERE indexrelid = to_regclass('idx_tasks_pending_batch') AND indrelid = to_regclass('tasks') AND indisvalid AND NOT indisunique;
    IF actual IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'index idx_tasks_pending_batch is missing, invalid, unique or of another definition: %', coalesce(actual, 'none')
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop or rename that index, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending_batch;
DROP INDEX CONCURRENTLY IF EXISTS idx_tasks_pending;
