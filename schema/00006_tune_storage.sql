-- A task is rewritten several times in its life. Room in each page (fillfactor) lets a heartbeat be a
-- HOT update, which writes no index. Autovacuum runs after a number of changed rows, hardly by a share of
-- the table, which mostly holds finished tasks. SHARE UPDATE EXCLUSIVE: reads and writes go on, and no row
-- is moved. What somebody has set already stays as it is.

-- +goose Up
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks
DECLARE
    unset text := (
        SELECT string_agg(name || ' = ' || value, ', ')
        FROM (VALUES
            ('fillfactor', '85'),
            ('autovacuum_vacuum_scale_factor', '0.01'),
            ('autovacuum_vacuum_threshold', '5000'),
            ('autovacuum_analyze_scale_factor', '0.02'),
            ('autovacuum_analyze_threshold', '5000'),
            ('autovacuum_vacuum_cost_delay', '1')
        ) AS wanted (name, value)
        WHERE NOT EXISTS (
            SELECT FROM pg_class, unnest(reloptions) AS option
            WHERE oid = 'tasks'::regclass AND split_part(option, '=', 1) = name));
BEGIN
    IF unset IS NOT NULL THEN
        EXECUTE format('ALTER TABLE tasks SET (%s)', unset);
    END IF;
END $$;
-- +goose StatementEnd

-- +goose Down
-- Only what has the value that the Up gives.
-- +goose StatementBegin
DO $$ -- lock: SHARE UPDATE EXCLUSIVE on tasks
DECLARE
    ours text := (
        SELECT string_agg(split_part(option, '=', 1), ', ')
        FROM pg_class, unnest(reloptions) AS option
        WHERE oid = 'tasks'::regclass AND option IN (
            'fillfactor=85',
            'autovacuum_vacuum_scale_factor=0.01',
            'autovacuum_vacuum_threshold=5000',
            'autovacuum_analyze_scale_factor=0.02',
            'autovacuum_analyze_threshold=5000',
            'autovacuum_vacuum_cost_delay=1'));
BEGIN
    IF ours IS NOT NULL THEN
        EXECUTE format('ALTER TABLE tasks RESET (%s)', ours);
    END IF;
END $$;
-- +goose StatementEnd
