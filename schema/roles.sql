-- Rights for services, for migrations and for monitoring. Not a migration: a superuser, or the owner of the
-- database who may create roles, runs it by psql, before the first `taskmigrate up` (so that the new table gets
-- its owner) and again after it (so that the table gets its grants). It can be repeated at any time.
--
--     psql -X -v ON_ERROR_STOP=1 -f schema/roles.sql "$DATABASE_URL"
--
-- tasks_service  what the store needs and no more: rows of tasks and its side tables, and ids from its sequence
-- tasks_migrate  owns the tables, their function and the history: `taskmigrate up`, `down`, `adopt`
-- tasks_read     `taskmigrate status` and `verify`, the gauges of docs/gauges.md, dashboards
--
-- None of them can log in. Grant them to roles that can; passwords are yours:
--
--     CREATE ROLE yourservice LOGIN;
--     GRANT tasks_service TO yourservice;
--
--     CREATE ROLE deployer LOGIN;
--     GRANT tasks_migrate TO deployer;
--     ALTER ROLE deployer SET role = 'tasks_migrate'; -- what it creates belongs to the group
--
-- A table that exists already gets tasks_migrate as its owner, which takes ACCESS EXCLUSIVE for a moment;
-- after five seconds of waiting for it the file fails and has changed nothing of that table.

-- As taskmigrate, it works in the search path's first schema that has the table, else in the one that would get it.
DO $$
BEGIN
    PERFORM set_config('search_path', format('%I, pg_temp', coalesce((
        SELECT nspname FROM pg_namespace JOIN pg_class ON relnamespace = pg_namespace.oid
        WHERE relname = 'tasks' AND relkind = 'r' AND nspname = ANY (current_schemas(false))
        ORDER BY array_position(current_schemas(false), nspname) LIMIT 1), current_schema())), false);
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tasks_service', 'tasks_migrate', 'tasks_read'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        GRANT tasks_migrate TO CURRENT_USER; -- or it could not be made an owner
    END IF;

    EXECUTE format('GRANT CONNECT ON DATABASE %I TO tasks_service, tasks_migrate, tasks_read', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO tasks_service, tasks_migrate, tasks_read', current_schema());
    EXECUTE format('GRANT CREATE ON SCHEMA %I TO tasks_migrate', current_schema());
    IF EXISTS (SELECT FROM pg_namespace, aclexplode(nspacl)
               WHERE nspname = current_schema() AND grantee = 0 AND privilege_type = 'CREATE') THEN
        RAISE WARNING 'everybody may create objects in schema %, tasks_service too', current_schema()
            USING HINT = format('Unless others need that: REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
    END IF;

    -- It shows whom a migration waits for, and who holds the oldest snapshot, also of other users.
    BEGIN
        GRANT pg_read_all_stats TO tasks_migrate, tasks_read;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'you may not grant pg_read_all_stats, so % and % do not see the queries of other users',
            'tasks_migrate', 'tasks_read';
    END;
END $$;

-- What exists of the table. Privileges that were granted by hand go.
DO $$
DECLARE
    ids  text := CASE WHEN to_regclass('tasks') IS NOT NULL THEN pg_get_serial_sequence('tasks', 'id') END;
    side text;
BEGIN
    SET LOCAL lock_timeout = '5s';
    IF to_regclass('tasks') IS NOT NULL THEN
        IF (SELECT relowner FROM pg_class WHERE oid = 'tasks'::regclass) <> 'tasks_migrate'::regrole THEN
            ALTER TABLE tasks OWNER TO tasks_migrate; -- and the sequence with it
        END IF;
        REVOKE ALL ON tasks FROM tasks_service, tasks_read;
        GRANT SELECT, INSERT, UPDATE, DELETE ON tasks TO tasks_service;
        GRANT SELECT ON tasks TO tasks_read;
    END IF;
    FOREACH side IN ARRAY ARRAY['task_keys', 'task_failures'] LOOP
        IF to_regclass(side) IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s OWNER TO tasks_migrate', side);
            EXECUTE format('REVOKE ALL ON %s FROM tasks_service, tasks_read', side);
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO tasks_service', side);
            EXECUTE format('GRANT SELECT ON %s TO tasks_read', side);
        END IF;
    END LOOP;
    IF ids IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON SEQUENCE %s FROM tasks_service, tasks_read', ids);
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO tasks_service', ids); -- nextval, not setval
    END IF;
    IF to_regprocedure('tasks_guard()') IS NOT NULL THEN
        ALTER FUNCTION tasks_guard() OWNER TO tasks_migrate;
    END IF;
    IF to_regclass('tasks_goose_version') IS NOT NULL THEN
        ALTER TABLE tasks_goose_version OWNER TO tasks_migrate;
        REVOKE ALL ON tasks_goose_version FROM tasks_service, tasks_read;
        GRANT SELECT ON tasks_goose_version TO tasks_read;
    END IF;
END $$;
