-- Rows from before the guard hold seconds, NULL, micro- or nanoseconds. Touching such a row makes the
-- guard's trigger convert it, so that the rule stands in one place.
--
-- Walks the primary key in slices of 1,000 rows and commits after each: no long transaction, no lock
-- but those of the rows in hand. Stopped anywhere, it starts again and finds less to do.

-- +goose NO TRANSACTION
-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: ROW EXCLUSIVE on tasks, a commit every 1,000 rows
DECLARE
    total    bigint := (SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'tasks'::regclass);
    low      bigint;
    high     bigint;
    seen     bigint := 0;
    repaired bigint := 0;
    slice    bigint;
BEGIN
    LOOP
        SELECT max(id), count(*) INTO high, slice
        FROM (SELECT id FROM tasks WHERE low IS NULL OR id > low ORDER BY id LIMIT 1000) AS page;
        EXIT WHEN high IS NULL;
        seen := seen + slice;
        UPDATE tasks SET updated_at = updated_at
        WHERE (low IS NULL OR id > low) AND id <= high
            AND (created_at BETWEEN 100000000000 AND 99999999999999
                 AND updated_at BETWEEN 100000000000 AND 99999999999999) IS NOT TRUE;
        GET DIAGNOSTICS slice = ROW_COUNT;
        repaired := repaired + slice;
        low := high;
        COMMIT;
        RAISE NOTICE 'progress: % of about % rows read, % repaired', seen, greatest(total, seen), repaired;
    END LOOP;
END $$;
-- +goose StatementEnd

-- +goose Down
-- Nothing to undo: the old values were wrong.
