-- What each column means, kept in the catalog. A file of its own, so that a table which somebody
-- else created gets the comments too. sqlc copies them into the Go documentation.
-- COMMENT ON takes SHARE UPDATE EXCLUSIVE: reads and writes go on.
--
-- A comment that somebody has written stays: the first block keeps it in a setting of the transaction, and the
-- last one puts it back.

-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks
BEGIN
    LOCK TABLE tasks IN SHARE UPDATE EXCLUSIVE MODE; -- nobody comments in between
    PERFORM set_config('taskmigrate.comments', coalesce(json_object_agg(objsubid, description), '{}')::text, true)
    FROM pg_description
    WHERE classoid = 'pg_class'::regclass AND objoid = 'tasks'::regclass;
END $$;
-- +goose StatementEnd
COMMENT ON TABLE tasks IS 'Task is a unit of work: it belongs to an integration, a user, a client, an account and a '
    'template, carries an argument, and goes from pending through processing to completed or failed.';
COMMENT ON COLUMN tasks.id IS 'ID is assigned by the database, in rising but not gapless order.';
COMMENT ON COLUMN tasks.integration_id IS 'IntegrationID names the integration the task belongs to.';
COMMENT ON COLUMN tasks.user_id IS 'UserID names the user the task belongs to.';
COMMENT ON COLUMN tasks.client_id IS 'ClientID names the client the task belongs to.';
COMMENT ON COLUMN tasks.account_id IS 'AccountID names the account the task belongs to.';
COMMENT ON COLUMN tasks.template_id IS 'TemplateID names the template the task was made from.';
COMMENT ON COLUMN tasks.argument IS 'Argument is what the task works on: text without NUL, '
    'by convention a JSON object.';
COMMENT ON COLUMN tasks.status IS 'Status is 0 pending, 1 processing, 2 completed or 3 failed.';
COMMENT ON COLUMN tasks.created_at IS 'CreatedAt is when the row was inserted, in Unix epoch milliseconds by '
    'the database''s clock.';
COMMENT ON COLUMN tasks.updated_at IS 'UpdatedAt is when the row last changed, in Unix epoch milliseconds by '
    'the database''s clock, and the row''s version: each change raises it strictly.';
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks
DECLARE
    kept record;
BEGIN
    FOR kept IN
        SELECT attname, value
        FROM json_each_text(current_setting('taskmigrate.comments')::json)
            LEFT JOIN pg_attribute ON attrelid = 'tasks'::regclass AND attnum = key::int AND attnum > 0
    LOOP
        EXECUTE format('COMMENT ON %s IS %L',
            coalesce('COLUMN tasks.' || quote_ident(kept.attname), 'TABLE tasks'), kept.value);
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- Only the comments that are the Up's.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks
DECLARE
    ours record;
BEGIN
    FOR ours IN
        SELECT attname
        FROM (VALUES
            (NULL, 'Task is a unit of work: %'),
            ('id', 'ID is assigned by the database, %'),
            ('integration_id', 'IntegrationID names the %'),
            ('user_id', 'UserID names the %'),
            ('client_id', 'ClientID names the %'),
            ('account_id', 'AccountID names the %'),
            ('template_id', 'TemplateID names the %'),
            ('argument', 'Argument is what the task works on: %'),
            ('status', 'Status is 0 pending, %'),
            ('created_at', 'CreatedAt is when the row was inserted, %'),
            ('updated_at', 'UpdatedAt is when the row last changed, %')
        ) AS written (name, beginning)
            LEFT JOIN pg_attribute ON attrelid = 'tasks'::regclass AND attname = name
        WHERE CASE WHEN name IS NULL THEN obj_description('tasks'::regclass, 'pg_class')
            ELSE col_description('tasks'::regclass, attnum) END LIKE beginning
    LOOP
        EXECUTE format('COMMENT ON %s IS NULL',
            coalesce('COLUMN tasks.' || quote_ident(ours.attname), 'TABLE tasks'));
    END LOOP;
END $$;
-- +goose StatementEnd
