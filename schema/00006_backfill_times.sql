-- Rows from before the guard hold seconds, NULL, micro- or nanoseconds. An UPDATE that changes nothing
-- lets the guard's trigger convert such a row, so the rule for it is written only once.
--
-- It goes along the primary key in slices of 1,000 rows and commits after each slice. So no transaction is
-- long, and only the rows of the slice are locked. It may be stopped anywhere and run again.

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
