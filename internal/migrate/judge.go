package migrate

import (
	"slices"
	"strings"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// The migrations that put right what a table made by somebody else may lack.
const (
	addsIdxTask     = 3
	restoresDefault = 5
	setsNotNull     = 9
	restoresIndexes = 10
)

// findings puts differences into the words of a report. applied is the newest applied migration: what
// a later one mends is a repair.
func findings(list []catalog.Difference, applied int64) []Finding {
	var out []Finding
	for _, d := range list {
		f := Finding{
			Kind:     d.Kind,
			Object:   objectName(d),
			Expected: d.Expected,
			Actual:   d.Actual,
			Severity: severity(d, applied),
			Cause:    cause(d),
		}
		if d.Expected == "" {
			f.Expected = "nothing of that name"
		}
		if d.Actual == "" {
			f.Actual = "missing"
		}
		if f.Severity == SeverityRepair {
			f.Cause += "; `taskmigrate up` puts it right"
		}
		out = append(out, f)
	}
	return out
}

func objectName(d catalog.Difference) string {
	switch {
	case d.Kind == catalog.Column, d.Kind == catalog.Sequence:
		return "tasks." + d.Object
	case d.Kind == catalog.Table && d.Object != "tasks":
		return "tasks (" + d.Object + ")"
	case d.Kind == catalog.Function:
		return d.Object + "()"
	}
	return d.Object
}

func severity(d catalog.Difference, applied int64) string {
	mendedBy := int64(0)
	switch {
	case d.Renamed:
		return SeverityNote
	case d.Expected == "": // extra
		if d.Kind == catalog.Column && strings.Contains(d.Actual, catalog.NotNull) && !strings.Contains(d.Actual, "DEFAULT") {
			return SeverityBlock
		}
		return SeverityNote
	case d.Kind == catalog.Table && d.Object != "tasks":
		return SeverityNote
	case d.Aspect == catalog.Type && wider(d.Expected, d.Actual):
		return SeverityNote
	case d.Aspect == catalog.Default && !strings.HasPrefix(d.Actual, "GENERATED"), d.Kind == catalog.Sequence:
		mendedBy = restoresDefault
	case d.Aspect == catalog.Nullable:
		mendedBy = setsNotNull
	case d.Kind == catalog.Index && (d.Actual == "" || d.Aspect == catalog.State):
		mendedBy = restoresIndexes
		if d.Object == "idx_task" {
			mendedBy = addsIdxTask
		}
	}
	if mendedBy > applied {
		return SeverityRepair
	}
	return SeverityBlock
}

// wider tells whether every value of the wanted type fits the actual one and comes back as it was.
func wider(wanted, actual string) bool {
	integers := []string{"smallint", "integer", "bigint"}
	from, to := slices.Index(integers, wanted), slices.Index(integers, actual)
	return from >= 0 && to > from || wanted == "text" && actual == "character varying"
}

// cause says what makes such a difference likely, and how to put it right by hand.
func cause(d catalog.Difference) string {
	table := "ALTER TABLE tasks "
	switch {
	case d.Renamed && d.Kind == catalog.Index:
		return "the same index under another name; ALTER INDEX " + d.Actual + " RENAME TO " + d.Object + " saves a second copy"
	case d.Renamed:
		return "the same constraint under another name"
	case d.Expected == "" && d.Kind == catalog.Column && strings.Contains(d.Actual, catalog.NotNull) && !strings.Contains(d.Actual, "DEFAULT"):
		return "an insert that does not know the column fails; give it a default: " + table + "ALTER COLUMN " + d.Object + " SET DEFAULT …"
	case d.Expected == "":
		return "somebody else's; it stays as it is"
	case d.Kind == catalog.Table && d.Object == "tasks":
		return "only an ordinary table can be migrated"
	case d.Kind == catalog.Table:
		return "tuned by hand, or lost in a copy of the table"
	case d.Kind == catalog.Column:
		return columnCause(d)
	case d.Kind == catalog.Sequence:
		return "the sequence was made or restored by hand; ALTER SEQUENCE … OWNED BY tasks." + d.Object
	case d.Kind == catalog.Constraint && d.Actual == "":
		return "dropped by hand, or lost in a copy of the table; " + table + "ADD CONSTRAINT " + d.Object + " " + d.Expected
	case d.Kind == catalog.Constraint && d.Actual == d.Expected+" NOT VALID":
		return "added again and never validated; " + table + "VALIDATE CONSTRAINT " + d.Object
	case d.Kind == catalog.Index && d.Aspect == catalog.State:
		return "left by an interrupted CREATE INDEX CONCURRENTLY: writers pay for it and no query uses it; DROP INDEX CONCURRENTLY " + d.Object + " and build it again"
	case d.Kind == catalog.Index && d.Actual == "":
		return "never built, or dropped by hand; CREATE INDEX CONCURRENTLY " + d.Object + " ON tasks USING " + d.Expected
	case d.Kind == catalog.Index:
		return "another index has its name; rename that one"
	case d.Kind == catalog.Trigger && d.Aspect == catalog.State:
		return "switched off for a bulk load or a restore; " + table + "ENABLE TRIGGER " + d.Object
	case d.Kind == catalog.Trigger && d.Actual == "":
		return "dropped by hand, or lost in a copy of the table; " + d.Expected
	case d.Kind == catalog.Function:
		return "replaced or dropped by hand; run the CREATE FUNCTION of 00004_guard_tasks.sql again"
	}
	return "changed by hand"
}

func columnCause(d catalog.Difference) string {
	alter := "ALTER TABLE tasks ALTER COLUMN " + d.Object
	times := d.Object == "created_at" || d.Object == "updated_at"
	switch {
	case d.Actual == "":
		return "dropped by hand, or the table is another one of that name"
	case d.Aspect == catalog.Default && times && d.Actual == catalog.NoDefault:
		return "GORM AutoMigrate drops this default; " + alter + " SET DEFAULT " + d.Expected
	case d.Aspect == catalog.Default && d.Expected == catalog.NoDefault:
		return "set by hand; " + alter + " DROP DEFAULT"
	case d.Aspect == catalog.Default:
		return "changed by hand, or the table was made without it; " + alter + " SET DEFAULT " + d.Expected
	case d.Aspect == catalog.Nullable && times:
		return "GORM AutoMigrate drops this NOT NULL; " + alter + " SET NOT NULL"
	case d.Aspect == catalog.Nullable:
		return "dropped by hand, or the table was made without it; " + alter + " SET NOT NULL"
	case wider(d.Expected, d.Actual):
		return "every value fits"
	}
	return "ALTER COLUMN by hand, or a struct with another field type under GORM AutoMigrate"
}
