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

// whomBlocks tells whom a lock of each mode keeps waiting.
var whomBlocks = map[string]string{
	"":                       "",
	"ACCESS SHARE":           "no read and no write",
	"ROW EXCLUSIVE":          "no read and no write, but of the rows in hand",
	"SHARE UPDATE EXCLUSIVE": "no read and no write; other schema changes and vacuum",
	"SHARE":                  "writes, while it is held or waited for",
	"SHARE ROW EXCLUSIVE":    "writes, while it is held or waited for",
	"ACCESS EXCLUSIVE":       "reads and writes, while it is held or waited for",
}

// statementLocks tells by a statement's words which lock it takes. The first match counts. Each row for a
// statement that a migration has is proved against pg_locks by a test.
var statementLocks = []struct {
	statement *regexp.Regexp
	lock      tableLock // no table: the one that the statement names
}{
	{words(`CREATE TABLE( IF NOT EXISTS)? @`), tableLock{mode: "ACCESS EXCLUSIVE", creates: true}},
	{words(`CREATE( UNIQUE)? INDEX CONCURRENTLY .*? ON @`), tableLock{mode: "SHARE UPDATE EXCLUSIVE"}},
	{words(`CREATE( UNIQUE)? INDEX .*? ON @`), tableLock{mode: "SHARE"}},
	{words(`DROP INDEX CONCURRENTLY`), tableLock{mode: "SHARE UPDATE EXCLUSIVE", table: "tasks, if the index is there"}},
	{words(`DROP INDEX`), tableLock{mode: "ACCESS EXCLUSIVE", table: "tasks"}},
	{words(`CREATE TRIGGER .*? ON @`), tableLock{mode: "SHARE ROW EXCLUSIVE"}},
	{words(`COMMENT ON (TABLE|COLUMN) @`), tableLock{mode: "SHARE UPDATE EXCLUSIVE"}},
	{words(`ALTER TABLE @ (SET \(\s*\w+|VALIDATE)`), tableLock{mode: "SHARE UPDATE EXCLUSIVE"}},
	{words(`ALTER TABLE @`), tableLock{mode: "ACCESS EXCLUSIVE"}},
	{words(`INSERT INTO @`), tableLock{mode: "ROW EXCLUSIVE"}},
	{words(`(BEGIN|COMMIT|SET|CREATE FUNCTION|COMMENT ON FUNCTION)`), tableLock{}},
}

// words makes an expression for the beginning of a statement, in which @ stands for the table.
func words(pattern string) *regexp.Regexp {
	pattern = strings.NewReplacer(" ", `\s+`, "@", `(?P<table>"(?:[^"]|"")+"|\w+)`).Replace(pattern)
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
	return tableLock{mode: "ACCESS EXCLUSIVE", table: "tasks (not known, so taken for the strongest)"}
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
