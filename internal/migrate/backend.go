package migrate

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// backend is another session of the server that is in the way.
type backend struct {
	pid                            int32
	user, application, state, text string
	age                            float64 // seconds of its transaction, or of its statement
}

// backendColumns are what is told of a backend, from pg_stat_activity with pid from anywhere. What the
// user may not see comes out empty.
const backendColumns = `
pid, coalesce(usename, ''), coalesce(application_name, ''), coalesce(state, ''), coalesce(query, ''),
coalesce(extract(epoch FROM clock_timestamp() - coalesce(xact_start, state_change)), 0)::float8`

// blockersQuery reads who blocks the backend $1. A prepared transaction has the pid 0.
const blockersQuery = `SELECT ` + backendColumns + `
FROM unnest(pg_blocking_pids($1)) AS blocking (pid) LEFT JOIN pg_stat_activity USING (pid)`

func (b *backend) columns() []any {
	return []any{&b.pid, &b.user, &b.application, &b.state, &b.text, &b.age}
}

// who identifies the backend and what it does, without its age.
func (b backend) who() string { return fmt.Sprint(b.pid, b.state, b.text) }

var secret = regexp.MustCompile(`(?i)(password\s*=?\s*)('[^']*'|\S+)`)

func (b backend) String() string {
	if b.pid == 0 {
		return "a prepared transaction, see pg_prepared_xacts"
	}
	text := secret.ReplaceAllString(oneLine(b.text), "$1***")
	if cut := []rune(text); len(cut) > 120 {
		text = string(cut[:119]) + "…"
	}
	age := time.Duration(b.age * float64(time.Second)).Round(100 * time.Millisecond)
	return strings.TrimSpace(fmt.Sprintf("pid %d, user %q, application %q, %s for %s, query: %s",
		b.pid, b.user, b.application, b.state, age, text))
}
