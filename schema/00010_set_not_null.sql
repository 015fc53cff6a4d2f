-- The validated tasks_not_null proves to PostgreSQL that there is no NULL, so this reads no row. It holds
-- ACCESS EXCLUSIVE for a moment.
--
-- squawk warns of a scan. It is the one that is skipped:
-- squawk-ignore-file adding-not-nullable-field

-- +goose Up
ALTER TABLE tasks
    ALTER COLUMN integration_id SET NOT NULL,
    ALTER COLUMN user_id SET NOT NULL,
    ALTER COLUMN client_id SET NOT NULL,
    ALTER COLUMN account_id SET NOT NULL,
    ALTER COLUMN template_id SET NOT NULL,
    ALTER COLUMN argument SET NOT NULL,
    ALTER COLUMN status SET NOT NULL,
    ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET NOT NULL;
ALTER TABLE tasks DROP CONSTRAINT tasks_not_null;

-- +goose Down
-- The columns stay NOT NULL, as the first migration has them.
ALTER TABLE tasks
    ADD CONSTRAINT tasks_not_null CHECK (
        integration_id IS NOT NULL AND user_id IS NOT NULL AND client_id IS NOT NULL
        AND account_id IS NOT NULL AND template_id IS NOT NULL AND argument IS NOT NULL
        AND status IS NOT NULL AND created_at IS NOT NULL AND updated_at IS NOT NULL) NOT VALID;
-- For a moment only, and on a table whose columns are NOT NULL: it cannot fail.
ALTER TABLE tasks VALIDATE CONSTRAINT tasks_not_null;
