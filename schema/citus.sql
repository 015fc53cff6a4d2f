-- Distributes a migrated tasks table over the nodes of a Citus cluster, by id. Not a migration: run it
-- once, by psql, on the coordinator, as the table's owner, after `taskmigrate up`:
--
--     psql -X -v ON_ERROR_STOP=1 -1 -f schema/citus.sql "$DATABASE_URL"
--
-- Distributing copies the rows to the shards and blocks writes meanwhile. See docs/citus.md.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'the extension citus is not installed in this database'
            USING HINT = 'CREATE EXTENSION citus, add the worker nodes, then run this file again.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass('tasks') AND tgname = 'tasks_guard_update') THEN
        RAISE EXCEPTION 'tasks is missing or not migrated'
            USING HINT = 'Run `taskmigrate up`, then this file again.';
    END IF;
END $$;

-- Citus refuses triggers that may touch other shards. Ours touch their own row only.
SET citus.enable_unsafe_triggers TO on;

-- The primary key leaves no other column: a unique constraint has to contain the distribution column.
SELECT create_distributed_table('tasks', 'id')
WHERE NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrel = 'tasks'::regclass);
