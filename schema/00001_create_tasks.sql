-- The table and its six single-column indexes, exactly as documented.
--
-- Where the table exists already, do not run this file: `taskmigrate adopt` compares the live
-- table with it and records it as applied.
--
-- integer is the documented type, and enough for four values:
-- squawk-ignore-file prefer-bigint-over-int

-- +goose Up
CREATE TABLE tasks (
    id             bigserial PRIMARY KEY,
    integration_id bigint  NOT NULL,
    user_id        bigint  NOT NULL,
    client_id      bigint  NOT NULL,
    account_id     bigint  NOT NULL,
    template_id    bigint  NOT NULL,
    argument       text    NOT NULL,
    status         integer NOT NULL DEFAULT 0,
    created_at     bigint  NOT NULL DEFAULT (extract(epoch FROM now()) * 1000)::bigint,
    updated_at     bigint  NOT NULL DEFAULT (extract(epoch FROM now()) * 1000)::bigint
);

CREATE INDEX idx_integration_id ON tasks (integration_id);
CREATE INDEX idx_user_id ON tasks (user_id);
CREATE INDEX idx_client_id ON tasks (client_id);
CREATE INDEX idx_account_id ON tasks (account_id);
CREATE INDEX idx_template_id ON tasks (template_id);
CREATE INDEX idx_status ON tasks (status);

-- +goose Down
DROP TABLE tasks;
