package catalog

import (
	"slices"
	"strings"
)

// rule says of one sort of difference how bad it is, what makes it likely, and how to put it right.
type rule struct {
	when     func(difference) bool
	severity string // unless a later migration puts it right
	mendedBy int64  // that migration; 0: none does
	cause    string // {object}, {expected} and {actual} stand for those of the difference
}

// The migrations that put right what a table made by somebody else may lack.
const (
	addsIdxTask     = 3
	restoresDefault = 5
	setsNotNull     = 9
	restoresIndexes = 10
)

const (
	alterTable  = "ALTER TABLE tasks "
	alterColumn = alterTable + "ALTER COLUMN {object} "

	invalidIndex = "left by an interrupted CREATE INDEX CONCURRENTLY: it slows writes and serves no query; " +
		"DROP INDEX CONCURRENTLY {object} and build it again"
	missingIndex = "never built, or dropped by hand; CREATE INDEX CONCURRENTLY {object} ON tasks USING {expected}"
)

// rules judge a difference. The first one that fits counts, and the last one fits all.
var rules = []rule{
	{func(d difference) bool { return d.Renamed && d.Kind == Index }, Note, 0,
		"the same index under another name; ALTER INDEX {actual} RENAME TO {object} saves a second copy"},
	{func(d difference) bool { return d.Renamed }, Note, 0,
		"the same constraint under another name"},
	{func(d difference) bool { return d.extra() && d.Kind == Column && needsValue(d.Actual) }, Block, 0,
		"an insert that does not know the column fails; give it a default: " + alterColumn + "SET DEFAULT …"},
	{difference.extra, Note, 0,
		"somebody else's; it stays as it is"},
	{func(d difference) bool { return d.Kind == SideTable }, Block, 0,
		"changed by hand; put it back as 00013_add_task_keys.sql or 00014_add_task_failures.sql has it"},
	{func(d difference) bool { return d.Kind == Table && d.Object == "tasks" }, Block, 0,
		"only an ordinary table can be migrated"},
	{func(d difference) bool { return d.Kind == Table }, Note, 0,
		"tuned by hand, or lost in a copy of the table"},
	{func(d difference) bool { return d.Kind == Column && d.missing() }, Block, 0,
		"dropped by hand, or the table is another one of that name"},
	{func(d difference) bool { return d.Aspect == Type && wider(d.Expected, d.Actual) }, Note, 0,
		"every value fits"},
	{func(d difference) bool { return d.Aspect == Type }, Block, 0,
		"ALTER COLUMN by hand, or a struct with another field type under GORM AutoMigrate"},
	{func(d difference) bool { return d.Aspect == Default && strings.HasPrefix(d.Actual, "GENERATED") }, Block, 0,
		"only the server may give the column a value; make it an ordinary column"},
	{func(d difference) bool { return d.Aspect == Default && d.Actual == NoDefault && isTime(d) }, Block, restoresDefault,
		"GORM AutoMigrate drops this default; " + alterColumn + "SET DEFAULT {expected}"},
	{func(d difference) bool { return d.Aspect == Default && d.Expected == NoDefault }, Block, 0,
		"set by hand; " + alterColumn + "DROP DEFAULT"},
	{func(d difference) bool { return d.Aspect == Default }, Block, restoresDefault,
		"changed by hand, or the table was made without it; " + alterColumn + "SET DEFAULT {expected}"},
	{func(d difference) bool { return d.Aspect == Nullable && isTime(d) }, Block, setsNotNull,
		"GORM AutoMigrate drops this NOT NULL; " + alterColumn + "SET NOT NULL"},
	{func(d difference) bool { return d.Aspect == Nullable }, Block, setsNotNull,
		"dropped by hand, or the table was made without it; " + alterColumn + "SET NOT NULL"},
	{func(d difference) bool { return d.Kind == Sequence }, Block, restoresDefault,
		"the sequence was made or restored by hand; ALTER SEQUENCE … OWNED BY tasks.{object}"},
	{func(d difference) bool { return d.Kind == Constraint && d.missing() }, Block, 0,
		"dropped by hand, or lost in a copy of the table; " + alterTable + "ADD CONSTRAINT {object} {expected}"},
	{func(d difference) bool { return d.Kind == Constraint && d.Actual == d.Expected+" NOT VALID" }, Block, 0,
		"added again and never validated; " + alterTable + "VALIDATE CONSTRAINT {object}"},
	{func(d difference) bool { return d.Object == "idx_task" && d.Aspect == State }, Block, addsIdxTask,
		invalidIndex},
	{func(d difference) bool { return d.Object == "idx_task" && d.missing() }, Block, addsIdxTask,
		missingIndex},
	{func(d difference) bool { return d.Kind == Index && d.Aspect == State }, Block, restoresIndexes,
		invalidIndex},
	{func(d difference) bool { return d.Kind == Index && d.missing() }, Block, restoresIndexes,
		missingIndex},
	{func(d difference) bool { return d.Kind == Index }, Block, 0,
		"another index has its name; rename that one"},
	{func(d difference) bool { return d.Kind == Trigger && d.Aspect == State }, Block, 0,
		"switched off for a bulk load or a restore; " + alterTable + "ENABLE TRIGGER {object}"},
	{func(d difference) bool { return d.Kind == Trigger && d.missing() }, Block, 0,
		"dropped by hand, or lost in a copy of the table; {expected}"},
	{func(d difference) bool { return d.Kind == Function }, Block, 0,
		"replaced or dropped by hand; run the CREATE FUNCTION of 00004_guard_tasks.sql again"},
	{func(difference) bool { return true }, Block, 0,
		"changed by hand"},
}

func isTime(d difference) bool { return d.Object == "created_at" || d.Object == "updated_at" }

// needsValue tells of a column that an insert cannot leave out.
func needsValue(column string) bool {
	return strings.Contains(column, NotNull) && !strings.Contains(column, "DEFAULT")
}

// wider tells whether every value of the wanted type fits the actual one and comes back as it was.
func wider(wanted, actual string) bool {
	integers := []string{"smallint", "integer", "bigint"}
	from, to := slices.Index(integers, wanted), slices.Index(integers, actual)
	return from >= 0 && to > from || wanted == "text" && actual == "character varying"
}
