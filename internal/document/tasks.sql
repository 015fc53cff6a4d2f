CREATE TABLE tasks (
    id BIGSERIAL PRIMARY KEY,
    integration_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    client_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    template_id BIGINT NOT NULL,
    argument TEXT NOT NULL,
    status INTEGER NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL DEFAULT (extract(epoch from now()) * 1000)::bigint,
    updated_at BIGINT NOT NULL DEFAULT (extract(epoch from now()) * 1000)::bigint
);

CREATE INDEX idx_integration_id ON tasks (integration_id);
CREATE INDEX idx_user_id ON tasks (user_id);
CREATE INDEX idx_client_id ON tasks (client_id);
CREATE INDEX idx_account_id ON tasks (account_id);
CREATE INDEX idx_template_id ON tasks (template_id);
CREATE INDEX idx_status ON tasks (status);
