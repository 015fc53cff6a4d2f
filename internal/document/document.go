// Package document has the table as its document creates it, for tests and measurements.
package document

import _ "embed"

// DDL creates the table and its six single-column indexes, letter by letter as the document prints it. The
// document lists idx_task too, but its DDL lacks it.
//
//go:embed tasks.sql
var DDL string
