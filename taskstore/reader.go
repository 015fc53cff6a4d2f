package taskstore

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/dbgen"
)

// reader stands between the generated code of a query for whole tasks and the database.
//
// It takes the rows that come as it expects them, in the table's types and binary, and leaves the others to
// the generated code: Rows.Scan looks at the type of each destination and allocates three times a row,
// which is half of what a list costs the client.
type reader struct {
	DB
	planned bool // have the server plan the statement for its values
	tasks   []Task
}

// maxFirst is the most tasks that a result has room for from the beginning.
const maxFirst = 128

// tasksFrom runs a query for up to n tasks.
func tasksFrom(db DB, n int, planned bool, query func(*dbgen.Queries) ([]Task, error)) ([]Task, error) {
	r := reader{DB: db, planned: planned, tasks: make([]Task, 0, min(n, maxFirst))}
	left, err := query(dbgen.New(&r))
	if err != nil || len(left) > 0 {
		return left, err
	}
	return r.tasks, nil
}

// Query implements [dbgen.DBTX].
func (r *reader) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := r.DB.Query(ctx, sql, r.args(args)...)
	if err != nil {
		return nil, err
	}
	return &taskRows{Rows: rows, to: r}, nil
}

// QueryRow implements [dbgen.DBTX].
func (r *reader) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return r.DB.QueryRow(ctx, sql, r.args(args)...)
}

func (r *reader) args(args []any) []any {
	if r.planned {
		return slices.Insert(args, 0, any(pgx.QueryExecModeCacheDescribe))
	}
	return args
}

// prepares reports whether db prepares statements by name. The server may then settle for one plan, which
// knows nothing of the values: for a filter, right for a common value or for a rare one, and for the
// other wrong by a factor of thousands (docs/plans.md).
func prepares(db DB) bool {
	var config *pgx.ConnConfig
	switch db := db.(type) {
	case interface{ Config() *pgxpool.Config }: // a pool
		config = db.Config().ConnConfig
	case interface{ Config() *pgx.ConnConfig }: // a connection
		config = db.Config()
	case interface{ Conn() *pgx.Conn }: // a connection of a pool, or a transaction
		if conn := db.Conn(); conn != nil {
			config = conn.Config()
		}
	}
	return config != nil && config.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement &&
		config.DescriptionCacheCapacity > 0
}

// taskRows passes on only the rows that it cannot read itself.
type taskRows struct {
	pgx.Rows

	to               *reader
	checked, natural bool
}

// Next implements [pgx.Rows].
func (r *taskRows) Next() bool {
	for r.Rows.Next() {
		if !r.checked {
			r.checked, r.natural = true, isTask(r.FieldDescriptions())
		}
		if !r.natural {
			return true
		}
		t, ok := taskOf(r.RawValues())
		if !ok {
			return true
		}
		r.to.tasks = append(r.to.tasks, t)
	}
	return false
}

// isTask reports whether rows with these fields are whole tasks, with their numbers in binary. Text is the
// same in both formats.
func isTask(fields []pgconn.FieldDescription) bool {
	types := [...]uint32{
		pgtype.Int8OID, pgtype.Int8OID, pgtype.Int8OID, pgtype.Int8OID, pgtype.Int8OID, pgtype.Int8OID,
		pgtype.TextOID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Int8OID,
	}
	if len(fields) != len(types) {
		return false
	}
	for i, f := range fields {
		if f.DataTypeOID != types[i] || f.Format != pgx.BinaryFormatCode && f.DataTypeOID != pgtype.TextOID {
			return false
		}
	}
	return true
}

// taskOf reads a row in the order of the table's columns. Like the generated code it reads a NULL status or
// time, which a table that was not migrated may hold, as 0; any other NULL is left to that code's error.
func taskOf(row [][]byte) (Task, bool) {
	if slices.ContainsFunc(row[:7], func(v []byte) bool { return v == nil }) {
		return Task{}, false
	}
	int8 := func(v []byte) int64 { return int64(binary.BigEndian.Uint64(v)) }
	t := Task{
		ID:            int8(row[0]),
		IntegrationID: int8(row[1]),
		UserID:        int8(row[2]),
		ClientID:      int8(row[3]),
		AccountID:     int8(row[4]),
		TemplateID:    int8(row[5]),
		Argument:      string(row[6]),
	}
	if row[7] != nil {
		t.Status = Status(binary.BigEndian.Uint32(row[7]))
	}
	if row[8] != nil {
		t.CreatedAt = Millis(int8(row[8]))
	}
	if row[9] != nil {
		t.UpdatedAt = Millis(int8(row[9]))
	}
	return t, true
}
