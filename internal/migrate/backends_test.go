package migrate

import (
	"strings"
	"testing"
)

func TestABackendIsToldInOneShortLineWithoutPasswords(t *testing.T) {
	t.Parallel()
	b := backend{
		PID: 42, User: "app", Application: "worker", State: "idle in transaction", TransactionSeconds: 61.5,
		Query: "ALTER ROLE app\n  PASSWORD 'correct horse'; " + strings.Repeat("x", 500),
	}
	got := b.String()
	want := `pid 42, user "app", application "worker", idle in transaction for 1m1.5s, ` +
		`query: ALTER ROLE app PASSWORD ***; xxx`
	if !strings.HasPrefix(got, want) || len(got) > 300 || strings.ContainsAny(got, "\n") ||
		strings.Contains(got, "horse") {
		t.Errorf("got %q, want it to begin with %q", got, want)
	}
	b.Query = "SELECT dblink_connect('postgres://me:correct-horse@host/db')"
	if got := b.String(); strings.Contains(got, "horse") || !strings.Contains(got, "//me:***") {
		t.Errorf("got %q", got)
	}
}
