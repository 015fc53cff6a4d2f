-- Optional indexes: with them a page of a list costs only its own rows, whichever value it is for and however
-- old that value's tasks are. They are not part of the migrations, because most services do not need them, and
-- each one slows down every insert and every change of status. docs/plans.md says which lists they help, what
-- they bring, what they cost, and why they need random_page_cost = 1.1, the right value for SSDs.
--
-- Take the ones you need and leave out the others:
--
--     psql -v ON_ERROR_STOP=1 -f docs/optional-indexes.sql "$DATABASE_URL"
--
-- Reads and writes go on while the indexes are built. Don't run the file in one transaction: a concurrent build
-- refuses that. An interrupted build leaves an INVALID index behind, and the same statement then fails: drop the
-- index by DROP INDEX CONCURRENTLY and build again. `taskmigrate verify` reports these indexes as harmless additions.

CREATE INDEX CONCURRENTLY idx_tasks_by_integration ON tasks (integration_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_user ON tasks (user_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_client ON tasks (client_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_account ON tasks (account_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_template ON tasks (template_id, id);
CREATE INDEX CONCURRENTLY idx_tasks_by_batch ON tasks (integration_id, client_id, template_id, id);
