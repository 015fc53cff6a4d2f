// Package schema holds the migrations of the tasks table: plain SQL files for goose, embedded.
// It imports the standard library only.
package schema

import "embed"

// FS holds the migrations at its root, named NNNNN_what_it_does.sql.
//
//go:embed 0*.sql
var FS embed.FS
