-- Two constraints, NOT VALID: adding them reads no row. From then on PostgreSQL checks each new version of a row
-- against both, whichever columns an UPDATE sets: a row that breaks one could not be changed any more, heartbeats
-- included. So the first block reads the table, under ACCESS SHARE, and refuses if there is such a row. The next
-- migration validates: here that would happen under this file's ACCESS EXCLUSIVE lock. tasks_not_null lets SET NOT NULL
-- skip its scan, and is dropped after that.

-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: ACCESS SHARE on tasks, while it is read
DECLARE
    broken bigint[] := ARRAY(
        SELECT id FROM tasks
        WHERE (status BETWEEN 0 AND 3
               AND integration_id IS NOT NULL AND user_id IS NOT NULL AND client_id IS NOT NULL
               AND account_id IS NOT NULL AND template_id IS NOT NULL AND argument IS NOT NULL
               AND created_at IS NOT NULL AND updated_at IS NOT NULL) IS NOT TRUE
        ORDER BY id);
BEGIN
    IF cardinality(broken) > 0 THEN
        RAISE EXCEPTION '% rows of tasks have a NULL or a status that is not 0, 1, 2 or 3: ids %',
            cardinality(broken), array_to_string(broken[1:20], ', ')
            USING ERRCODE = 'check_violation',
                  DETAIL = 'At most the first twenty ids are shown. Nothing was changed.',
                  HINT = 'Correct or delete these rows, then run the migration again.';
    END IF;
END $$;
-- +goose StatementEnd
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
