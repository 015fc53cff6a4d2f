package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskstoretest"
)

const secret = "what nobody else may read"

func TestEachOperationIsASpanUnderItsQuerysName(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	pool, err := newPool(t.Context(), taskstoretest.New(t).URL, provider)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s := taskstore.New(pool)
	task := taskstore.Task{Argument: secret}

	for _, op := range []struct {
		name  string
		do    func(ctx context.Context) error
		spans []string
	}{
		{"Create", func(ctx context.Context) (err error) {
			task, err = s.Create(ctx, taskstore.NewTask{Argument: secret})
			return err
		}, []string{"CreateTask"}},
		{"CreateMany", func(ctx context.Context) error {
			_, err := s.CreateMany(ctx, make([]taskstore.NewTask, 1000))
			return err
		}, []string{"CreateTasks"}},
		{"Get", func(ctx context.Context) error {
			_, err := s.Get(ctx, task.ID)
			return err
		}, []string{"GetTask"}},
		{"List", func(ctx context.Context) error {
			_, err := s.List(ctx, taskstore.ByUser(1), taskstore.Page{})
			return err
		}, []string{"ListTasksByUser"}},
		{"Update", func(ctx context.Context) (err error) {
			task, err = s.Update(ctx, task)
			return err
		}, []string{"UpdateTask"}},
		{"Claim", func(ctx context.Context) error {
			held, err := s.Claim(ctx, 1)
			task = held[0]
			return err
		}, []string{"NewestID", "ClaimTasks"}}, // the first claim looks from the bottom
		{"Heartbeat", func(ctx context.Context) error {
			held := []taskstore.Task{task}
			err := s.Heartbeat(ctx, held)
			task = held[0]
			return err
		}, []string{"HeartbeatTasks"}},
		{"Complete", func(ctx context.Context) error { return s.Complete(ctx, task) }, []string{"FinishTasks"}},
		{"Backlog", func(ctx context.Context) error {
			_, err := s.Backlog(ctx)
			return err
		}, []string{"GetBacklog"}},
		{"RequeueStale", func(ctx context.Context) error {
			_, err := s.RequeueStale(ctx, taskstore.Filter{}, time.Minute, 1)
			return err
		}, []string{"ListAhead", "RequeueTasks"}},
		{"Delete in a transaction", func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return s.WithTx(tx).Delete(ctx, task.ID) })
		}, []string{"BEGIN", "DeleteTask", "COMMIT"}},
	} {
		spans.Reset()
		if err := within(t.Context(), provider.Tracer("test"), op.name, op.do); err != nil {
			t.Fatalf("%s: %v", op.name, err)
		}
		got := spans.GetSpans()
		parent := got[len(got)-1] // it ended last
		var names []string
		for _, span := range got[:len(got)-1] {
			names = append(names, span.Name)
			if span.Parent.SpanID() != parent.SpanContext.SpanID() {
				t.Errorf("%s: span %s is not a child of the caller's span", op.name, span.Name)
			}
			if strings.Contains(attributes(span), secret) {
				t.Errorf("%s: span %s contains the argument", op.name, span.Name)
			}
		}
		if !slices.Equal(names, op.spans) || parent.Name != op.name {
			t.Errorf("%s: spans %q, want %q", op.name, names, op.spans)
		}
	}
}

func attributes(span tracetest.SpanStub) string {
	set := attribute.NewSet(span.Attributes...)
	return set.Encoded(attribute.DefaultEncoder())
}

func TestQueryName(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]string{
		"-- name: GetTask :one\nSELECT 1": "GetTask",
		"-- a comment\nselect 1":          "SELECT",
		"begin":                           "BEGIN",
		"":                                "UNKNOWN",
	} {
		if got := queryName(t.Context(), sql); got != want {
			t.Errorf("%q is %q, want %q", sql, got, want)
		}
	}
}
