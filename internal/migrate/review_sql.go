package migrate

// serverSettings are those that decide how long a migration takes and what it costs.
const serverSettings = `
SELECT name, current_setting(name)
FROM unnest(array['server_version', 'max_wal_size', 'wal_level', 'maintenance_work_mem',
    'max_parallel_maintenance_workers', 'autovacuum', 'synchronous_commit', 'synchronous_standby_names',
    'max_standby_streaming_delay']) AS wanted (name)
WHERE current_setting(name) <> ''`

// tableState has an estimate of bloat: the heap's size less what its rows need by their average widths.
const tableState = `
SELECT pg_relation_size(c.oid), pg_indexes_size(c.oid),
    coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),
    coalesce(s.n_dead_tup, 0),
    CASE WHEN c.reltuples > 0 AND w.width IS NOT NULL THEN greatest(0, pg_relation_size(c.oid)
        - ceil(c.reltuples * (28 + w.width) / (8168 * f.share)) * 8192)::bigint END,
    greatest(s.last_analyze, s.last_autoanalyze)
FROM pg_class AS c
    LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
    CROSS JOIN LATERAL (
        SELECT sum(avg_width * (1 - null_frac))::float8 FROM pg_stats
        WHERE schemaname = current_schema() AND tablename = 'tasks') AS w (width)
    CROSS JOIN LATERAL (
        SELECT coalesce(max(split_part(option, '=', 2)::float8) FILTER (WHERE option LIKE 'fillfactor=%'), 100) / 100
        FROM unnest(c.reloptions) AS option) AS f (share)
WHERE c.oid = to_regclass('tasks')`

const tableSettings = `
SELECT split_part(option, '=', 1), split_part(option, '=', 2)
FROM pg_class, unnest(reloptions) AS option
WHERE oid = to_regclass('tasks')`

const indexSizes = `
SELECT relname::text, pg_relation_size(indexrelid), indisvalid, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = to_regclass('tasks')
ORDER BY pg_relation_size(indexrelid) DESC, relname`
