package main

import (
	"context"
	"strings"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
)

// newPool returns a pool on which each statement is a span under its query's name, as it stands in the
// store's SQL. Statements have their text as an attribute, without the parameters: an Argument may be
// private.
func newPool(ctx context.Context, url string, provider trace.TracerProvider) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	t := otelpgx.NewTracer(otelpgx.WithTracerProvider(provider), otelpgx.WithSpanNameCtxFunc(queryName))
	config.ConnConfig.Tracer = tracer{QueryTracer: t, CopyFromTracer: t}
	return pgxpool.NewWithConfig(ctx, config)
}

// tracer is the part of otelpgx that shows what the store does. Its other spans, of connections and of
// the preparation of statements, which would have the names of the queries too, are left out.
type tracer struct {
	pgx.QueryTracer
	pgx.CopyFromTracer
}

// queryName returns ClaimTasks of a statement that begins with `-- name: ClaimTasks :many`, as all of the store's
// do, and the first word of any other: BEGIN, COMMIT, SELECT.
func queryName(ctx context.Context, sql string) string {
	if rest, ok := strings.CutPrefix(sql, "-- name: "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return name
	}
	return otelpgx.SQLOperationName(ctx, sql)
}
