package migrate

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/connect"
)

// silentFor is how long the server may be silent before that is said.
const silentFor = 10 * time.Second

// dialer lets the system find out within half a minute that the other side is gone.
var dialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silentFor, Interval: 5 * time.Second, Count: 3},
}

// silence says it when a query gets no answer. Statements of a run have a watcher that knows more.
type silence struct{ log *slog.Logger }

type (
	silentQuery struct{}
	isWatched   struct{}
)

// asWatched marks a context: who executes with it says by itself what is going on.
func asWatched(ctx context.Context) context.Context { return context.WithValue(ctx, isWatched{}, true) }

// TraceQueryStart is called when a query is sent.
func (s silence) TraceQueryStart(ctx context.Context, _ *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	if ctx.Value(isWatched{}) != nil {
		return ctx
	}
	timer := time.AfterFunc(silentFor, func() {
		s.log.Warn("no answer from the server yet", "waited", silentFor, "query", firstWords(query.SQL))
	})
	return context.WithValue(ctx, silentQuery{}, timer)
}

// TraceQueryEnd is called when it has its answer.
func (silence) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if timer, ok := ctx.Value(silentQuery{}).(*time.Timer); ok {
		timer.Stop()
	}
}

// firstWords is the beginning of a statement, in one line.
func firstWords(query string) string {
	words := []rune(connect.OneLine(query))
	if len(words) > 120 {
		words = append(words[:119], '…')
	}
	return string(words)
}
