package main

import (
	"context"
	"strings"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

// newPool returns a pool that makes a span of each statement, with the query's name from the store's SQL.
// The span has the statement's text as an attribute, but not the parameters: an Argument may be private.
func newPool(ctx context.Context, url string, provider trace.TracerProvider) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	t := otelpgx.NewTracer(otelpgx.WithTracerProvider(provider), otelpgx.WithSpanNameCtxFunc(queryName))
	config.ConnConfig.Tracer = tracer{t}
	return pgxpool.NewWithConfig(ctx, config)
}

// tracer is the part of otelpgx that shows what the store does. It leaves out otelpgx's other spans, for
// connecting and for preparing statements: the latter would have the names of the queries, too.
type tracer struct{ pgx.QueryTracer }

// queryName returns ClaimTasks for a statement that begins with `-- name: ClaimTasks :many`. All of the store's
// statements have such a line. For any other it returns the first word: BEGIN, COMMIT, SELECT.
func queryName(ctx context.Context, sql string) string {
	if rest, ok := strings.CutPrefix(sql, "-- name: "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return name
	}
	return otelpgx.SQLOperationName(ctx, sql)
}
