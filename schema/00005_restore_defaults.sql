-- GORM's AutoMigrate drops these defaults, and a table that it made never had them. Setting a default
-- that is there already changes nothing.
-- ALTER COLUMN takes ACCESS EXCLUSIVE, for a moment: no row is read or written.

-- +goose Up
ALTER TABLE tasks
    ALTER COLUMN status SET DEFAULT 0,
    ALTER COLUMN created_at SET DEFAULT (extract(epoch FROM now()) * 1000)::bigint,
    ALTER COLUMN updated_at SET DEFAULT (extract(epoch FROM now()) * 1000)::bigint;

-- An id without a default gets a new sequence. If the sequence of its default belongs to no column, it is made to
-- belong to id: pg_get_serial_sequence, and so the store, finds no other.
-- +goose StatementBegin
DO $$ -- lock: ACCESS EXCLUSIVE on tasks, only if id has no sequence of its own
DECLARE
    source text;
BEGIN
    IF pg_get_serial_sequence('tasks', 'id') IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT substring(pg_get_expr(adbin, adrelid) FROM 'nextval\(''(.*)''::regclass\)') INTO source
    FROM pg_attrdef
    WHERE adrelid = 'tasks'::regclass
        AND adnum = (SELECT attnum FROM pg_attribute WHERE attrelid = 'tasks'::regclass AND attname = 'id');
    IF source IS NULL THEN
        CREATE SEQUENCE tasks_id_seq;
        PERFORM setval('tasks_id_seq', greatest(max(id), 1), max(id) IS NOT NULL) FROM tasks;
        ALTER TABLE tasks ALTER COLUMN id SET DEFAULT nextval('tasks_id_seq');
        source := 'tasks_id_seq';
    END IF;
    EXECUTE format('ALTER SEQUENCE %s OWNED BY tasks.id', source);
END $$;
-- +goose StatementEnd

-- +goose Down
-- Nothing to undo: these defaults belong to the first migration.
