-- Rows from before the guard hold seconds, NULL, micro- or nanoseconds. An UPDATE that changes nothing
-- lets the guard's trigger convert such a row, so the rule for it is written only once.
--
-- It goes along the primary key in slices of 8,000 rows, an eighth of a slice at a time: it commits about every 1,000
-- rows. So no transaction is long, and only the rows of one are locked. It may be stopped anywhere and run again. If
-- rows are not sound in the end, their transaction is rolled back, and the file stops.
--
-- An eighth, since a full page has no room for new versions of its rows. Those of the first eighth go elsewhere, and
-- into each index. The room that they leave takes the next eighth, and no index hears of it (HOT): less than half of
-- the WAL, and a table that grows by a quarter where one pass doubles it. The hash spreads each page's rows over the
-- eighths, however ids are given.
--
-- Plain goose runs the whole block at once. taskmigrate sets taskmigrate.one_slice = on for its session: then the block
-- ends after one slice and keeps the id that it came to in taskmigrate.backfilled. taskmigrate sends it again until it
-- says that it is through. In between autovacuum and the statistics see what was done, and taskmigrate pauses
-- (--backfill-pause) and waits for standbys (--backfill-max-lag).

-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: ROW EXCLUSIVE on tasks, a commit every 1,000 rows or so
DECLARE
    total    bigint := (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'tasks'::regclass);
    once     boolean := coalesce(current_setting('taskmigrate.one_slice', true), '') = 'on';
    -- Always a number: with "low IS NULL OR id > low" a plan for all values would begin at the first row each time.
    low      bigint := coalesce(
        nullif(current_setting('taskmigrate.backfilled', true), '')::bigint, -9223372036854775808);
    high     bigint;
    slice    bigint;
    repaired bigint;
    unsound  bigint[];
    on_citus CONSTANT boolean := to_regclass('pg_dist_partition') IS NOT NULL; -- it locks no rows across shards
BEGIN
    IF row_security_active('tasks') THEN
        RAISE EXCEPTION 'row-level security hides rows of tasks from role %, and the back-fill has to see all',
            current_user
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = 'Nothing was changed.',
                  HINT = 'Run the migration as a role with BYPASSRLS, '
                      'or as the owner without FORCE ROW LEVEL SECURITY.';
    END IF;
    LOOP
        SELECT max(id), count(*), count(*) FILTER (WHERE NOT sound) INTO high, slice, repaired
        FROM (SELECT id, (created_at BETWEEN 100000000000 AND 99999999999999
                          AND updated_at BETWEEN 100000000000 AND 99999999999999) IS TRUE AS sound
              FROM tasks WHERE id > low ORDER BY id LIMIT 8000) AS page;
        IF high IS NULL THEN
            PERFORM set_config('taskmigrate.backfilled', '', false);
            RAISE NOTICE 'back-fill: through';
            EXIT;
        END IF;
        FOR part IN 0..7 LOOP
            EXIT WHEN repaired = 0;
            -- In the order of ids, as everybody should who locks several rows: the UPDATE may go by their places.
            IF NOT on_citus THEN
                PERFORM FROM tasks
                WHERE id > low AND id <= high AND hashint8(id) & 7 = part
                    AND (created_at BETWEEN 100000000000 AND 99999999999999
                         AND updated_at BETWEEN 100000000000 AND 99999999999999) IS NOT TRUE
                ORDER BY id FOR NO KEY UPDATE;
            END IF;
            UPDATE tasks SET updated_at = updated_at
            WHERE id > low AND id <= high AND hashint8(id) & 7 = part
                AND (created_at BETWEEN 100000000000 AND 99999999999999
                     AND updated_at BETWEEN 100000000000 AND 99999999999999) IS NOT TRUE;
            unsound := ARRAY(
                SELECT id FROM tasks
                WHERE id > low AND id <= high AND hashint8(id) & 7 = part
                    AND (created_at BETWEEN 100000000000 AND 99999999999999
                         AND updated_at BETWEEN 100000000000 AND 99999999999999) IS NOT TRUE
                ORDER BY id LIMIT 20);
            IF unsound <> '{}' THEN
                RAISE EXCEPTION 'rows of tasks stay as they were when the back-fill updates them: ids %',
                    array_to_string(unsound, ', ')
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                          DETAIL = format('tasks_guard_update is %s; session_replication_role is %s; '
                                  'triggers beside ours: %s; rules: %s.',
                              coalesce((SELECT CASE tgenabled WHEN 'D' THEN 'disabled' ELSE 'enabled' END
                                        FROM pg_trigger
                                        WHERE tgrelid = 'tasks'::regclass AND tgname = 'tasks_guard_update'),
                                  'missing'),
                              current_setting('session_replication_role'),
                              coalesce((SELECT string_agg(tgname, ', ' ORDER BY tgname) FROM pg_trigger
                                        WHERE tgrelid = 'tasks'::regclass AND NOT tgisinternal
                                            AND tgname NOT LIKE 'tasks\_guard\_%'), 'none'),
                              coalesce((SELECT string_agg(rulename, ', ' ORDER BY rulename) FROM pg_rewrite
                                        WHERE ev_class = 'tasks'::regclass), 'none')),
                          HINT = 'Disable what keeps tasks_guard_update from converting these rows, then run the '
                              'migration again. Earlier slices are done.';
            END IF;
            IF FOUND THEN -- by the UPDATE
                RAISE NOTICE 'back-fill: commits repaired rows';
            END IF;
            COMMIT;
        END LOOP;
        low := high;
        PERFORM set_config('taskmigrate.backfilled', high::text, false);
        RAISE NOTICE 'back-fill: % rows read of about %, % repaired', slice, total, repaired;
        EXIT WHEN once;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- Nothing to undo: the old values were wrong.
