-- A task is rewritten several times in its life. Room in each page (fillfactor) lets a heartbeat be a
-- HOT update, which writes no index. Autovacuum runs after a number of changed rows, hardly by a share of
-- the table, which mostly holds finished tasks. SHARE UPDATE EXCLUSIVE: reads and writes go on, and no row
-- is moved.

-- +goose Up
ALTER TABLE tasks SET (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 5000,
    autovacuum_vacuum_cost_delay = 1
);

-- +goose Down
ALTER TABLE tasks RESET (
    fillfactor,
    autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold,
    autovacuum_analyze_scale_factor,
    autovacuum_analyze_threshold,
    autovacuum_vacuum_cost_delay
);
