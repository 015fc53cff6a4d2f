// Command tracing shows each statement of a store as a span with the query's name. It expects a
// migrated database in DATABASE_URL and prints the spans; a service would send them to its collector.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tasklane/tasks/taskstore"
)

func main() {
	if err := run(context.Background(), os.Getenv("DATABASE_URL")); err != nil {
		fmt.Fprintln(os.Stderr, "tracing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) (err error) {
	if url == "" {
		return errors.New("set DATABASE_URL to a migrated database")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(printer{}))
	defer func() { err = errors.Join(err, provider.Shutdown(ctx)) }()
	pool, err := newPool(ctx, url, provider)
	if err != nil {
		return err
	}
	defer pool.Close()
	service := provider.Tracer("example")
	store := taskstore.New(pool)

	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"accept an order", func(ctx context.Context) error {
			_, err := store.Create(ctx, taskstore.NewTask{IntegrationID: 1, Argument: `{"order": 1}`})
			return err
		}},
		{"import a file", func(ctx context.Context) error {
			_, err := store.CreateMany(ctx, make([]taskstore.NewTask, 1000))
			return err
		}},
		{"work on a task", func(ctx context.Context) error {
			held, err := store.Claim(ctx, 1)
			if err != nil {
				return err
			}
			// The service's own writes would go into this transaction.
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				return store.WithTx(tx).Complete(ctx, held...)
			})
		}},
		{"show the newest", func(ctx context.Context) error {
			_, err := store.List(ctx, taskstore.ByIntegration(1), taskstore.Page{Limit: 20})
			return err
		}},
	}
	for _, step := range steps {
		if err := within(ctx, service, step.name, step.do); err != nil {
			return err
		}
	}
	return nil
}

// within runs do inside a span of the service's own, so that the store's spans become its children.
func within(ctx context.Context, t trace.Tracer, name string, do func(context.Context) error) error {
	ctx, span := t.Start(ctx, name)
	defer span.End()
	return do(ctx)
}

// printer is an exporter that prints one line for each span, children before their parent.
type printer struct{}

func (printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		indent := ""
		if s.Parent().IsValid() {
			indent = strings.Repeat(" ", 4)
		}
		fmt.Printf("%s%-24s %8v\n", indent, s.Name(), s.EndTime().Sub(s.StartTime()).Round(10*time.Microsecond))
	}
	return nil
}

func (printer) Shutdown(context.Context) error { return nil }
