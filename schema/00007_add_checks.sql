-- Two constraints that hold for new rows at once and for old ones after the next migration:
-- NOT VALID reads no row. In a file of its own, since validating here would keep this file's
-- ACCESS EXCLUSIVE lock through the scan. tasks_not_null lets SET NOT NULL skip its scan and goes
-- when that is done.

-- +goose Up
ALTER TABLE tasks
    ADD CONSTRAINT tasks_status_check CHECK (status BETWEEN 0 AND 3) NOT VALID,
    ADD CONSTRAINT tasks_not_null CHECK (
        integration_id IS NOT NULL AND user_id IS NOT NULL AND client_id IS NOT NULL
        AND account_id IS NOT NULL AND template_id IS NOT NULL AND argument IS NOT NULL
        AND status IS NOT NULL AND created_at IS NOT NULL AND updated_at IS NOT NULL) NOT VALID;

-- +goose Down
ALTER TABLE tasks
    DROP CONSTRAINT tasks_not_null,
    DROP CONSTRAINT tasks_status_check;
