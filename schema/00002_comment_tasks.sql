-- What each column means, kept in the catalog. A file of its own, so that a table which somebody
-- else created gets the comments too. sqlc copies them into the Go documentation.
-- COMMENT ON takes SHARE UPDATE EXCLUSIVE: reads and writes go on.

-- +goose Up
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

-- +goose Down
COMMENT ON TABLE tasks IS NULL;
COMMENT ON COLUMN tasks.id IS NULL;
COMMENT ON COLUMN tasks.integration_id IS NULL;
COMMENT ON COLUMN tasks.user_id IS NULL;
COMMENT ON COLUMN tasks.client_id IS NULL;
COMMENT ON COLUMN tasks.account_id IS NULL;
COMMENT ON COLUMN tasks.template_id IS NULL;
COMMENT ON COLUMN tasks.argument IS NULL;
COMMENT ON COLUMN tasks.status IS NULL;
COMMENT ON COLUMN tasks.created_at IS NULL;
COMMENT ON COLUMN tasks.updated_at IS NULL;
