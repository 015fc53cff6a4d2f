package schema

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tasklane/tasks/internal/storetest"
)

// schema/citus.sql says what is missing, by name, before it changes anything.
func TestCitusFileSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := storetest.Setup(t)
	if storetest.One[bool](t, b.Pool, `SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`) {
		t.Skip("this server has Citus")
	}
	_, err := b.Pool.Exec(t.Context(), storetest.File(t, "schema/citus.sql"))
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Message, "the extension citus is not installed") ||
		refusal.Hint == "" {
		t.Errorf("error is %v", err)
	}
}
