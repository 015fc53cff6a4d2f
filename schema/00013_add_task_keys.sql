-- Keys that make a create safe to repeat: at most one task has a key. A table of its own, since the columns of tasks
-- are a contract. Only creates with a key write it, no claim reads it, and a task that the store deletes takes its key
-- along. No foreign key: each DELETE and TRUNCATE of tasks by other programs would have to bear its cost or its
-- refusal. A key whose task somebody else has deleted is free again: a create takes it over, and
-- Store.DeleteFinished removes it. Where ids are given out again, as by TRUNCATE … RESTART IDENTITY, a new task would
-- have an old one's key: whoever does that names this table and task_failures, too.
-- A new table: nothing waits for it.

-- +goose Up
CREATE TABLE task_keys (
    key     text COLLATE "C" PRIMARY KEY CHECK (octet_length(key) BETWEEN 1 AND 512),
    task_id bigint NOT NULL
);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_task_keys_task_id ON task_keys (task_id);
COMMENT ON TABLE task_keys IS 'TaskKey says which task was created with a key.';
COMMENT ON COLUMN task_keys.key IS 'Key is what the caller chose: 1 to 512 bytes.';
COMMENT ON COLUMN task_keys.task_id IS 'TaskID is the id of the task that has the key.';

-- +goose Down
DROP TABLE task_keys;
