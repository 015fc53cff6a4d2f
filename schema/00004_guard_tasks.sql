-- Programs that we do not control write seconds, NULL, lower or absurd values into the time columns.
-- updated_at is the row's version and a worker's lease, so it must survive them. Both triggers look
-- at values only: for the store's own statements their WHEN is false and the function is not called.
-- CREATE TRIGGER takes SHARE ROW EXCLUSIVE: reads go on, writes wait for the moment it takes.
--
-- A time is sound between 100,000,000,000 (March 1973) and 99,999,999,999,999 (year 5138), read as
-- milliseconds. Smaller numbers down to 100,000,000 are seconds, larger ones micro- or nanoseconds:
-- these ranges mean the same years in each unit and do not overlap.
--
-- Three things look like honest use, and pass. A foreign write that raises updated_at, in milliseconds,
-- looks like a heartbeat by another worker: it takes the lease. If it raises updated_at far into the
-- future, the row is never taken for silent. A row that is deleted and inserted again with the same
-- values (GORM's Save does that) has an old version again.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION tasks_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    now_ms CONSTANT bigint := (extract(epoch FROM statement_timestamp()) * 1000)::bigint;
    raw    CONSTANT bigint[] := ARRAY[NEW.created_at, NEW.updated_at, OLD.created_at, OLD.updated_at];
    ms     bigint[] := '{}'; -- raw in milliseconds, NULL where it is no time at all
    sound  boolean[] := '{}';
BEGIN
    FOR i IN 1 .. 4 LOOP
        sound[i] := coalesce(raw[i] BETWEEN 100000000000 AND 99999999999999, false);
        ms[i] := CASE
            WHEN sound[i] THEN raw[i]
            -- never past now, or the row would be pinned in the future
            WHEN raw[i] >= 100000000000000000 THEN least(raw[i] / 1000000, now_ms)
            WHEN raw[i] >= 100000000000000 THEN least(raw[i] / 1000, now_ms)
            WHEN raw[i] >= 100000000 THEN least(raw[i] * 1000, now_ms)
        END;
    END LOOP;

    IF TG_OP = 'INSERT' THEN
        NEW.created_at := coalesce(ms[1], now_ms);
        NEW.updated_at := coalesce(ms[2], now_ms);
        RETURN NEW;
    END IF;

    -- A row's birth does not change: an unsound value gives way to the stored one.
    IF NOT sound[1] THEN
        NEW.created_at := coalesce(ms[3], ms[1], ms[4], now_ms);
    END IF;

    IF sound[2] AND (ms[4] IS NULL OR ms[2] > ms[4]) THEN
        NULL; -- the version rose: only created_at was wrong
    ELSIF NEW.status = OLD.status AND sound[4] AND OLD.status = 1 THEN
        -- A write to a task in processing that says nothing new about its version: the worker keeps
        -- its lease.
        NEW.updated_at := OLD.updated_at;
    ELSIF NEW.status = OLD.status AND NOT sound[4] AND raw[2] IS NOT DISTINCT FROM raw[4] THEN
        -- A touch of a row from before these triggers: it keeps its time, in milliseconds.
        NEW.updated_at := coalesce(ms[4], NEW.created_at);
    ELSE
        -- Everything else is a change, a reset by hand among them: the version rises, and whoever
        -- holds the old one holds nothing.
        NEW.updated_at := greatest(now_ms, ms[4] + 1);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION tasks_guard() IS
    'Keeps tasks.created_at and tasks.updated_at in milliseconds, and updated_at rising, whoever writes.';

CREATE TRIGGER tasks_guard_insert BEFORE INSERT ON tasks FOR EACH ROW
    WHEN ((NEW.created_at BETWEEN 100000000000 AND 99999999999999
           AND NEW.updated_at BETWEEN 100000000000 AND 99999999999999) IS NOT TRUE)
    EXECUTE FUNCTION tasks_guard();

CREATE TRIGGER tasks_guard_update BEFORE UPDATE ON tasks FOR EACH ROW
    WHEN ((NEW.updated_at > OLD.updated_at
           AND NEW.created_at BETWEEN 100000000000 AND 99999999999999
           AND NEW.updated_at BETWEEN 100000000000 AND 99999999999999) IS NOT TRUE)
    EXECUTE FUNCTION tasks_guard();

-- +goose Down
DROP TRIGGER tasks_guard_update ON tasks;
DROP TRIGGER tasks_guard_insert ON tasks;
DROP FUNCTION tasks_guard();
