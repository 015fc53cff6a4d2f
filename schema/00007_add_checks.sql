-- Two constraints, NOT VALID: adding them reads no row. From then on each insert has to satisfy them, and
-- each update of any row, whatever it changes. The next migration reads the old rows and validates. Here it
-- would do so under this file's ACCESS EXCLUSIVE lock. tasks_not_null lets SET NOT NULL skip its scan, and
-- is dropped after that.

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
