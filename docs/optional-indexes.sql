-- Optional indexes: they make every page of a list cost its rows alone, whichever value it is for and however
-- old that value's tasks are. Not part of the migrations, because most services do not need them and each
-- slows down every insert and every change of status. docs/plans.md says which lists they help, measures what
-- they bring and what they cost, and why they need random_page_cost = 1.1, as SSDs do.
--
-- Take the ones you need and leave out the others:
--
--     psql -v ON_ERROR_STOP=1 -f docs/optional-indexes.sql "$DATABASE_URL"
--
-- Reads and writes go on while they are built, each in a statement of its own, so not in a transaction. A
-- build that was interrupted leaves an INVALID index behind, on which the same statement then fails: drop it
-- by DROP INDEX CONCURRENTLY and build again. `taskmigrate verify` notes them as additions that do no harm.

CREATE INDEX CONCURRENTLY idx_tasks_by_integration ON tasks (integration_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_user ON tasks (user_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_client ON tasks (client_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_account ON tasks (account_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_template ON tasks (template_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_batch ON tasks (integration_id, client_id, template_id, id);
