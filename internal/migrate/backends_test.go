package migrate

import (
	"strings"
	"testing"
)

func TestABackendIsToldInOneShortLineWithoutPasswords(t *testing.T) {
	t.Parallel()
	b := backend{
		PID: 42, User: "app", Application: "worker", State: "idle in transaction", TransactionSeconds: 61.5,
		Query: "SELECT\n  " + strings.Repeat("x", 500),
	}
	got := b.String()
	const want = `pid 42, user "app", application "worker", idle in transaction for 1m1.5s, query: SELECT xxx`
	if !strings.HasPrefix(got, want) || len(got) > 300 {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	for _, password := range []string{"'correct horse'", "'it''s a horse'", `E'it\'s a horse'`, "$$correct horse$$"} {
		b.Query = "ALTER ROLE app\n  PASSWORD " + password + " VALID UNTIL 'infinity'"
		if got := b.String(); !strings.HasSuffix(got, "query: ALTER ROLE app PASSWORD ***") {
			t.Errorf("got %q", got)
		}
	}
	b.Query = "SELECT dblink_connect('postgres://me:correct-horse@host/db')"
	if got := b.String(); strings.Contains(got, "horse") || !strings.Contains(got, "//me:***") {
		t.Errorf("got %q", got)
	}
}
