//go:build !unix

package storetest

import "testing"

func (b *Bundle) behindPgBouncer(t *testing.T, _ string) {
	t.Helper()
	t.Fatal("TASKSTORE_TEST_PGBOUNCER_MODE: PgBouncer is started on unix only")
}
