package migrate

import (
	"regexp"
	"strings"
)

// tableLock is the strongest lock that a statement takes on a table. The zero value: none.
type tableLock struct {
	mode    string
	table   string // and on which condition
	creates bool   // the table is new
}

const (
	accessExclusive      = "ACCESS EXCLUSIVE"
	shareRowExclusive    = "SHARE ROW EXCLUSIVE"
	share                = "SHARE"
	shareUpdateExclusive = "SHARE UPDATE EXCLUSIVE"
	rowExclusive         = "ROW EXCLUSIVE"
	accessShare          = "ACCESS SHARE"
)

// statementLocks tells by a statement's words which lock it takes. The first match counts. Each row for a
// statement that a migration has is proved against pg_locks by a test.
var statementLocks = []struct {
	statement *regexp.Regexp
	lock      tableLock // no table: the one that the statement names
}{
	{words(`CREATE TABLE( IF NOT EXISTS)? @`), tableLock{mode: accessExclusive, creates: true}},
	{words(`CREATE( UNIQUE)? INDEX CONCURRENTLY .*? ON @`), tableLock{mode: shareUpdateExclusive}},
	{words(`CREATE( UNIQUE)? INDEX .*? ON @`), tableLock{mode: share}},
	{words(`DROP INDEX CONCURRENTLY`), tableLock{mode: shareUpdateExclusive, table: "tasks, if the index is there"}},
	{words(`DROP INDEX`), tableLock{mode: accessExclusive, table: "tasks"}},
	{words(`CREATE TRIGGER .*? ON @`), tableLock{mode: shareRowExclusive}},
	{words(`COMMENT ON (TABLE|COLUMN) @`), tableLock{mode: shareUpdateExclusive}},
	{words(`ALTER TABLE @ (SET \(\s*\w+|VALIDATE)`), tableLock{mode: shareUpdateExclusive}},
	{words(`ALTER TABLE @`), tableLock{mode: accessExclusive}},
	{words(`INSERT INTO @`), tableLock{mode: rowExclusive}},
	{words(`(BEGIN|COMMIT|SET LOCAL|CREATE FUNCTION|COMMENT ON FUNCTION)`), tableLock{}},
}

// words makes an expression for the beginning of a statement, in which @ stands for the table.
func words(pattern string) *regexp.Regexp {
	pattern = strings.NewReplacer(" ", `\s+`, "@", `(?P<table>\w+)`).Replace(pattern)
	return regexp.MustCompile(`(?is)^` + pattern + `(\W|$)`)
}

// declaredLock is how a DO block tells its lock in its first line: nobody can guess it from outside.
var declaredLock = regexp.MustCompile(`^DO \$\$ -- lock: (.*?) on (.*)`)

// lockOf tells a statement's lock. One that is not known is taken for the worst.
func lockOf(query string) tableLock {
	if declared := declaredLock.FindStringSubmatch(query); declared != nil {
		return tableLock{mode: declared[1], table: declared[2]}
	}
	for _, known := range statementLocks {
		match := known.statement.FindStringSubmatch(query)
		if match == nil {
			continue
		}
		lock := known.lock
		if i := known.statement.SubexpIndex("table"); i > 0 {
			lock.table = match[i]
		}
		return lock
	}
	return tableLock{mode: accessExclusive, table: "tasks (not known, so taken for the strongest)"}
}

func (l tableLock) String() string {
	switch {
	case l.mode == "":
		return ""
	case l.creates:
		return l.mode + " on the new table " + l.table
	}
	return l.mode + " on " + l.table
}

// blocks tells whom the lock keeps waiting.
func (l tableLock) blocks() string {
	switch l.mode {
	case "":
		return ""
	case accessExclusive:
		return "reads and writes, while it is held or waited for"
	case shareRowExclusive, share:
		return "writes, while it is held or waited for"
	case shareUpdateExclusive:
		return "no read and no write; other schema changes and vacuum"
	case rowExclusive:
		return "no read and no write, but of the rows in hand"
	case accessShare:
		return "no read and no write"
	}
	return "unknown"
}
