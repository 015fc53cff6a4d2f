-- Why a task failed, how often, and when it is to be tried again. A table of its own, since the columns of tasks are a
-- contract. Only Store.FailWith and what retries write it: a task that succeeds costs nothing here. As for keys there
-- is no foreign key; Store.Delete and Store.DeleteFinished remove the rows of tasks that are gone or were
-- completed in the end. A TRUNCATE with RESTART IDENTITY has to name this table, too.
-- A new table: nothing waits for it.

-- +goose Up
CREATE TABLE task_failures (
    task_id   bigint PRIMARY KEY,
    failures  integer NOT NULL, -- squawk-ignore prefer-bigint-over-int
    reason    text NOT NULL,
    failed_at bigint NOT NULL,
    retry_at  bigint
);
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_task_failures_retry_at ON task_failures (retry_at) WHERE retry_at IS NOT NULL;
COMMENT ON TABLE task_failures IS 'TaskFailure says why a task failed last.';
COMMENT ON COLUMN task_failures.task_id IS 'TaskID is the id of the task.';
COMMENT ON COLUMN task_failures.failures IS 'Failures counts how often the task has failed.';
COMMENT ON COLUMN task_failures.reason IS 'Reason is the last failure''s, at most 10 kB.';
COMMENT ON COLUMN task_failures.failed_at IS
    'FailedAt is when that was, in Unix epoch milliseconds by the database''s clock.';
COMMENT ON COLUMN task_failures.retry_at IS
    'RetryAt is when the task is due again, in Unix epoch milliseconds, or NULL: not by itself.';

-- +goose Down
DROP TABLE task_failures;
