-- How the tasks table and its side tables are made: one row an aspect. Comes out the same on PostgreSQL 14 to 18
-- and in any schema. Constraints of type 'n' (NOT NULL, since 18) are told by the columns.
WITH tasks AS (
    SELECT oid, relkind, relispartition, relpersistence, reloptions, relnamespace, relowner
    FROM pg_class
    WHERE oid = to_regclass('tasks')
),
columns AS (
    SELECT a.attname, a.attnum, a.atttypid, a.atttypmod, a.attidentity, a.attgenerated,
        a.attnotnull OR t.typnotnull AND t.typdefault IS NULL AS attnotnull, -- of a domain
        pg_get_expr(d.adbin, d.adrelid) AS expression,
        (SELECT refobjid FROM pg_depend
         WHERE classid = 'pg_attrdef'::regclass AND objid = d.oid
             AND refclassid = 'pg_class'::regclass AND deptype = 'n'
             AND pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\(''[^'']*''::regclass\)$') AS takes,
        ARRAY(SELECT objid FROM pg_depend JOIN pg_class s ON s.oid = objid AND s.relkind = 'S'
         WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
             AND refobjid = tasks.oid AND refobjsubid = a.attnum AND deptype IN ('a', 'i')
         ORDER BY deptype DESC, objid) AS owns
    FROM tasks
    JOIN pg_attribute a ON a.attrelid = tasks.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE tasks.relkind IN ('r', 'p', 'f')
),
-- The sequence that each column takes its values from, and what speaks against it.
sequences AS (
    SELECT attname, c.oid, c.oid::regclass::text AS name, owns, pg_sequence.*,
        CASE WHEN c.oid = ANY (owns) THEN 'the column'
            WHEN EXISTS (
                SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype IN ('a', 'i'))
                THEN 'another column'
            WHEN (SELECT count(*) FROM pg_depend WHERE refobjid = c.oid AND classid = 'pg_attrdef'::regclass) > 1
                THEN 'none, and another default takes values from it'
            WHEN c.relnamespace <> (SELECT relnamespace FROM tasks) THEN 'none, and it is in another schema'
            WHEN c.relowner <> (SELECT relowner FROM tasks) THEN 'none, and another role owns it'
            ELSE c.oid::regclass || ': of no column' END AS owner
    FROM columns
    LEFT JOIN pg_class c ON c.oid = coalesce(takes, owns[1])
    LEFT JOIN pg_sequence ON seqrelid = c.oid
    WHERE owns <> '{}' OR takes IS NOT NULL
),
indexes AS (
    SELECT c.relname, i.indisvalid AND i.indisready AS usable,
        CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
            || regexp_replace(pg_get_indexdef(i.indexrelid), '^.* USING | WITH \([^)]*\)', '', 'g') AS definition
    FROM tasks
    JOIN pg_index i ON i.indrelid = tasks.oid
    JOIN pg_class c ON c.oid = i.indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = tasks.oid)
),
triggers AS (
    SELECT t.tgname, t.tgenabled, t.tgfoid,
        regexp_replace(pg_get_triggerdef(t.oid, true), ' ON (\w+\.|"([^"]|"")+"\.)?tasks ', ' ON tasks ') AS definition
    FROM tasks JOIN pg_trigger t ON t.tgrelid = tasks.oid
    WHERE NOT t.tgisinternal
),
functions AS (
    SELECT p.proname, l.lanname, p.prosrc
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid IN (SELECT tgfoid FROM triggers)
        OR p.proname = 'tasks_guard' AND p.pronamespace = (SELECT relnamespace FROM tasks)
),
side AS (
    SELECT c.oid, c.relname, c.relkind
    FROM tasks JOIN pg_class c USING (relnamespace)
    WHERE c.relname IN ('task_keys', 'task_failures')
)
SELECT kind, object::text, aspect, value
FROM (
    SELECT 'table' AS kind, 'tasks' AS object, 'kind' AS aspect,
        CASE relpersistence WHEN 'u' THEN 'unlogged ' WHEN 't' THEN 'temporary ' ELSE '' END
            || CASE WHEN relispartition THEN 'partition' WHEN relkind = 'r' THEN 'ordinary table'
                WHEN relkind = 'p' THEN 'partitioned table' WHEN relkind = 'f' THEN 'foreign table'
                WHEN relkind = 'v' THEN 'view' WHEN relkind = 'm' THEN 'materialized view'
                ELSE 'relation of kind ' || relkind::text END AS value
    FROM tasks
    UNION ALL
    SELECT 'table', split_part(option, '=', 1), 'setting', split_part(option, '=', 2)
    FROM tasks, unnest(reloptions) AS option
    UNION ALL
    SELECT 'column', attname, 'type', format_type(atttypid, atttypmod) FROM columns
    UNION ALL
    SELECT 'column', attname, 'nullable', CASE WHEN attnotnull THEN 'NOT NULL' ELSE 'NULL allowed' END FROM columns
    UNION ALL
    SELECT 'column', attname, 'default',
        CASE WHEN attgenerated <> '' THEN 'GENERATED ALWAYS AS (' || expression || ')'
            WHEN attidentity = 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
            WHEN attidentity = 'd' OR takes IS NOT NULL THEN 'next value of a sequence'
            WHEN expression IS NULL AND owns <> '{}' THEN owns[1]::regclass || ': owned by the column, but no default'
            ELSE coalesce(expression, 'none') END
    FROM columns
    UNION ALL
    SELECT 'sequence', attname, 'owner', owner FROM sequences
    UNION ALL
    SELECT 'sequence', attname, 'spare', string_agg(spare::regclass::text, ', ')
    FROM sequences, unnest(owns) AS spare
    WHERE spare <> oid
    GROUP BY attname
    UNION ALL
    SELECT 'sequence', attname, 'limits',
        CASE WHEN seqtypid = 'bigint'::regtype AND abs(seqmax) = 9223372036854775807 AND NOT seqcycle
            THEN 'all of bigint, once'
            ELSE name || concat(': ', seqtypid::regtype, ' to ', seqmax,
                CASE WHEN seqcycle THEN ', and round again' END)
            END
    FROM sequences
    UNION ALL
    SELECT 'sequence', attname, 'cache', seqcache::text FROM sequences WHERE seqcache > 1
    UNION ALL
    SELECT 'constraint', conname, 'definition', pg_get_constraintdef(c.oid)
    FROM tasks JOIN pg_constraint c ON c.conrelid = tasks.oid
    WHERE contype <> 'n'
    UNION ALL
    SELECT 'index', relname, 'definition', definition FROM indexes
    UNION ALL
    SELECT 'index', relname, 'state', CASE WHEN usable THEN 'valid' ELSE 'INVALID' END FROM indexes
    UNION ALL
    SELECT 'trigger', tgname, 'definition', definition FROM triggers
    UNION ALL
    SELECT 'trigger', tgname, 'state',
        CASE tgenabled WHEN 'O' THEN 'enabled' WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'enabled on a replica only'
            ELSE 'enabled always' END
    FROM triggers
    UNION ALL
    SELECT 'rule', rulename, 'definition', pg_get_ruledef(r.oid)
    FROM tasks JOIN pg_rewrite r ON ev_class = tasks.oid
    WHERE relkind = 'r'
    UNION ALL
    SELECT 'child table', inhrelid::regclass::text, 'definition', 'inherits tasks'
    FROM tasks JOIN pg_inherits ON inhparent = tasks.oid
    WHERE relkind = 'r'
    UNION ALL
    SELECT 'function', proname, 'body', lanname || ' sha256 ' || encode(sha256(convert_to(prosrc, 'UTF8')), 'hex')
    FROM functions
    UNION ALL
    SELECT 'side table', relname, 'definition',
        CASE relkind WHEN 'r' THEN 'ordinary table' ELSE 'no ordinary table' END
    FROM side
    UNION ALL
    SELECT 'side table', relname || '.' || attname, 'definition',
        concat_ws(' ', format_type(atttypid, atttypmod),
            'COLLATE ' || (
                SELECT quote_ident(collname) FROM pg_collation WHERE oid = attcollation AND collname <> 'default'),
            CASE WHEN attnotnull THEN 'NOT NULL' END,
            'DEFAULT ' || pg_get_expr(adbin, adrelid))
    FROM side JOIN pg_attribute ON attrelid = side.oid AND attnum > 0 AND NOT attisdropped
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    UNION ALL
    SELECT 'side table', side.relname || '.' || conname, 'definition', pg_get_constraintdef(c.oid)
    FROM side JOIN pg_constraint c ON conrelid = side.oid
    WHERE contype <> 'n'
    UNION ALL
    SELECT 'side table', side.relname || '.' || index.relname, 'definition',
        CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END
            || regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '')
            || CASE WHEN indisvalid AND indisready THEN '' ELSE ' INVALID' END
    FROM side JOIN pg_index ON indrelid = side.oid JOIN pg_class index ON index.oid = indexrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND conrelid = side.oid)
) AS items
ORDER BY kind, object::text COLLATE "C", aspect, value
