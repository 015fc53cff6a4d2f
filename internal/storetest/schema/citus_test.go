package storetest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// schema/citus.sql says what is missing, by name, before it changes anything.
func TestCitusFileSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if one[bool](t, b.pool, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`) {
		t.Skip("this server has Citus")
	}
	script, err := os.ReadFile("../../schema/citus.sql")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.pool.Exec(t.Context(), string(script))
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "the extension citus is not installed") || refusal.Hint == "" {
		t.Errorf("error is %v", err)
	}
}
