package migrate

import (
	"regexp"
	"slices"
	"strings"
)

// Statement is one statement that a run sends.
type Statement struct {
	File        string // the migration that it belongs to; empty: preparation
	Number      int    // of that file's own statements, from 1; 0: of the transaction or the history
	SQL         string
	Args        []any
	Transaction bool   // it is part of one
	Lock        string // the strongest lock it takes on a table, in words; empty: none
	Blocks      string // whom that keeps waiting
}

// recording is what a run would have sent.
type recording struct {
	list    []Statement
	creates string // the file that creates tasks: until its end nobody else can see the table
}

func (p *recording) add(s *session, number int, query string, args []any) {
	lock, blocks := lockOf(query)
	if strings.HasSuffix(lock, newTable) {
		p.creates = s.run.file.name
	}
	if p.creates != "" && p.creates == s.run.file.name {
		blocks = ""
	}
	p.list = append(p.list, Statement{
		File: s.run.file.name, Number: number, SQL: query, Args: slices.Clone(args),
		Transaction: s.inTx, Lock: lock, Blocks: blocks,
	})
}

const newTable = "the new table"

// locks tells by a statement's first words which lock it takes. The first match counts. Each row for a
// statement that a migration has is proved against pg_locks by a test.
var locks = []struct {
	statement *regexp.Regexp
	lock      string
}{
	{words(`CREATE TABLE`), "ACCESS EXCLUSIVE on " + newTable},
	{words(`CREATE( UNIQUE)? INDEX CONCURRENTLY`), "SHARE UPDATE EXCLUSIVE on tasks"},
	{words(`CREATE( UNIQUE)? INDEX`), "SHARE on tasks"},
	{words(`DROP INDEX CONCURRENTLY`), "SHARE UPDATE EXCLUSIVE on tasks, if the index is there"},
	{words(`DROP INDEX`), "ACCESS EXCLUSIVE on tasks"},
	{words(`CREATE TRIGGER`), "SHARE ROW EXCLUSIVE on tasks"},
	{words(`COMMENT ON (TABLE|COLUMN)`), "SHARE UPDATE EXCLUSIVE on tasks"},
	{words(`ALTER TABLE tasks SET \(`), "SHARE UPDATE EXCLUSIVE on tasks"},
	{words(`ALTER TABLE tasks VALIDATE`), "SHARE UPDATE EXCLUSIVE on tasks"},
	{words(`ALTER TABLE goose_db_version`), "ACCESS EXCLUSIVE on goose_db_version"},
	{words(`ALTER TABLE`), "ACCESS EXCLUSIVE on tasks"},
	{words(`INSERT INTO goose_db_version`), "ROW EXCLUSIVE on goose_db_version"},
	{words(`(BEGIN|COMMIT|SET LOCAL|CREATE FUNCTION|COMMENT ON FUNCTION)`), ""},
}

func words(pattern string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)^` + strings.ReplaceAll(pattern, " ", `\s+`) + `(\W|$)`)
}

// saidLock is how a DO block tells its lock in its first line: nobody can guess it from outside.
var saidLock = regexp.MustCompile(`^DO \$\$ -- lock: (.*)`)

// blocking tells whom a lock keeps waiting, the strongest lock first.
var blocking = []struct{ lock, blocks string }{
	{"ACCESS EXCLUSIVE", "reads and writes, while it is held or waited for"},
	{"SHARE ROW EXCLUSIVE", "writes, while it is held or waited for"},
	{"SHARE UPDATE EXCLUSIVE", "no read and no write; other schema changes and vacuum"},
	{"ROW EXCLUSIVE", "no read and no write, but of the rows in hand"},
	{"ACCESS SHARE", "no read and no write"},
	{"SHARE", "writes, while it is held or waited for"},
}

// lockOf tells a statement's lock. One that is not known is taken for the worst.
func lockOf(query string) (lock, blocks string) {
	lock = "ACCESS EXCLUSIVE on tasks (not known, so taken for the strongest)"
	if said := saidLock.FindStringSubmatch(query); said != nil {
		lock = said[1]
	} else {
		for _, known := range locks {
			if known.statement.MatchString(query) {
				lock = known.lock
				break
			}
		}
	}
	if lock == "" {
		return "", ""
	}
	for _, b := range blocking {
		if strings.HasPrefix(lock, b.lock) {
			return lock, b.blocks
		}
	}
	return lock, "unknown"
}
