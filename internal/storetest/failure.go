package storetest

import (
	"fmt"
	"testing"
)

// FailWrites makes the first n statements that write to tasks fail with that SQLSTATE.
func FailWrites(t *testing.T, b *Bundle, code string, n int) {
	t.Helper()
	NotOnCitus(t, "it counts by a sequence, and each node would have its own")
	b.Exec(t, `CREATE SEQUENCE IF NOT EXISTS attempts`)
	b.Exec(t, `ALTER SEQUENCE attempts RESTART`)
	b.Exec(t, `GRANT ALL ON SEQUENCE attempts TO PUBLIC`)
	b.Exec(t, fmt.Sprintf(`
		CREATE OR REPLACE FUNCTION fail_write() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('attempts') <= %d THEN
				RAISE EXCEPTION 'made to fail' USING ERRCODE = '%s';
			END IF;
			RETURN NULL;
		END $$`, n, code))
	b.Exec(t, `
		CREATE OR REPLACE TRIGGER fail_write AFTER INSERT OR UPDATE OR DELETE ON tasks
		FOR EACH STATEMENT EXECUTE FUNCTION fail_write()`)
}

// Attempts returns how many statements have tried to write since FailWrites. A sequence counts them, which no
// rollback takes back.
func Attempts(t *testing.T, b *Bundle) int64 {
	t.Helper()
	return One[int64](t, b.Pool, `SELECT last_value FROM attempts`)
}
