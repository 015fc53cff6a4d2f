// Package catalog reads from a live database how the tasks table is made, compares that with how it should
// be, and judges the differences.
package catalog

import (
	"context"
	_ "embed"

	"github.com/jackc/pgx/v5"
)

// The kinds of objects.
const (
	Table      = "table"
	Column     = "column"
	Constraint = "constraint"
	Index      = "index"
	Trigger    = "trigger"
	Function   = "function"
	Sequence   = "sequence"
	Rule       = "rule"
	Child      = "child table"
	SideTable  = "side table" // and, after a dot, its columns, constraints and indexes
)

// The aspects of objects.
const (
	Kind       = "kind"       // of a table
	Setting    = "setting"    // of a table: a storage parameter
	Type       = "type"       // of a column
	Nullable   = "nullable"   // of a column: NOT NULL or not
	Default    = "default"    // of a column
	Definition = "definition" // of a constraint (NOT VALID included), an index, a trigger or a part of a side table
	State      = "state"      // of an index or a trigger
	Body       = "body"       // of a function, as a hash
	Owner      = "owner"      // of a sequence
	Spare      = "spare"      // of a sequence: others that belong to its column, too
	Limits     = "limits"     // of a sequence
	Cache      = "cache"      // of a sequence, where it is more than one value
)

// Values that the query gives in words.
const (
	NotNull   = "NOT NULL"
	NoDefault = "none"
	Valid     = "valid"
)

// Item is one aspect of one object.
type Item struct {
	Kind   string `json:"kind"`
	Object string `json:"object"`
	Aspect string `json:"aspect"`
	Value  string `json:"value"`
}

//go:embed catalog.sql
var query string

// Read describes the tasks table on the search path, and the side tables in its schema. It is one SELECT.
// Without a table tasks the description is empty.
func Read(ctx context.Context, conn *pgx.Conn) ([]Item, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Item])
}
