package migrate

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Whoever looks while somebody has the table locked is told who that is.
func TestACommandThatReadsNamesWhoKeepsItWaiting(t *testing.T) {
	t.Parallel()
	b := migrated(t)
	b.config.Tracer = silence{b.Migrator, 50 * time.Millisecond}
	release := b.open(t, pgx.ReadCommitted, `LOCK TABLE tasks`)
	defer release()
	done := make(chan error, 1)
	go func() {
		_, _, err := b.Verify(t.Context())
		done <- err
	}()
	b.says(t, "no answer from the server yet", `application \"blocker\"`)
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
