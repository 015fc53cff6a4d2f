package migrate

// The severities of a Finding.
const (
	SeverityBlock  = "block"  // must be put right by hand
	SeverityRepair = "repair" // a later migration puts it right
	SeverityNote   = "note"   // does no harm
)

// Finding is one difference between what should be and what is.
type Finding struct {
	Kind     string // table, column, constraint, index, trigger, function, sequence, data or history
	Object   string
	Expected string
	Actual   string
	Severity string
	Cause    string // what made it likely, and the way out; may be empty
}
