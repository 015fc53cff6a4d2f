-- Reads the table once under SHARE UPDATE EXCLUSIVE: reads and writes go on. If rows break a constraint,
-- the error names the first twenty of them, and nothing is changed.

-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks, while it is read
DECLARE
    broken bigint[];
BEGIN
    ALTER TABLE tasks
        VALIDATE CONSTRAINT tasks_status_check,
        VALIDATE CONSTRAINT tasks_not_null;
EXCEPTION WHEN check_violation THEN
    broken := ARRAY(
        SELECT id FROM tasks
        WHERE (status BETWEEN 0 AND 3
               AND integration_id IS NOT NULL AND user_id IS NOT NULL AND client_id IS NOT NULL
               AND account_id IS NOT NULL AND template_id IS NOT NULL AND argument IS NOT NULL
               AND created_at IS NOT NULL AND updated_at IS NOT NULL) IS NOT TRUE
        ORDER BY id LIMIT 20);
    RAISE EXCEPTION 'tasks has rows with NULL or with a status that is not 0, 1, 2 or 3: ids %',
        array_to_string(broken, ', ')
        USING ERRCODE = 'check_violation',
              DETAIL = 'At most the first twenty ids are shown. No row was changed.',
              HINT = 'Correct or delete these rows, then run the migration again.';
END $$;
-- +goose StatementEnd

-- +goose Down
-- There is no other way to make a constraint NOT VALID again.
ALTER TABLE tasks
    DROP CONSTRAINT tasks_not_null,
    DROP CONSTRAINT tasks_status_check,
    ADD CONSTRAINT tasks_status_check CHECK (status BETWEEN 0 AND 3) NOT VALID,
    ADD CONSTRAINT tasks_not_null CHECK (
        integration_id IS NOT NULL AND user_id IS NOT NULL AND client_id IS NOT NULL
        AND account_id IS NOT NULL AND template_id IS NOT NULL AND argument IS NOT NULL
        AND status IS NOT NULL AND created_at IS NOT NULL AND updated_at IS NOT NULL) NOT VALID;
