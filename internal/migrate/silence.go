package migrate

import (
	"context"
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

// silence says it when a query has no answer after a while, and who blocks it. Statements of a run have a watcher that
// knows more.
type silence struct {
	*Migrator
	patience time.Duration
}

type (
	silentQuery struct{}
	isWatched   struct{}
)

// asWatched marks a context: who executes with it says by itself what is going on.
func asWatched(ctx context.Context) context.Context { return context.WithValue(ctx, isWatched{}, true) }

// TraceQueryStart is called when a query is sent.
func (s silence) TraceQueryStart(ctx context.Context, conn *pgx.Conn, query pgx.TraceQueryStartData) context.Context {
	if ctx.Value(isWatched{}) != nil {
		return ctx
	}
	timer := time.AfterFunc(s.patience, func() {
		s.opts.Log.Warn("no answer from the server yet", "waited", s.patience, "query", firstWords(query.SQL),
			"blocked_by", s.blocking(ctx, conn.PgConn().PID()))
	})
	return context.WithValue(ctx, silentQuery{}, timer)
}

// blocking says, from a connection of its own, who blocks the backend pid. Empty: nobody, or it cannot be seen.
func (s silence) blocking(ctx context.Context, pid uint32) string {
	ctx, cancel := context.WithTimeout(asWatched(ctx), 2*time.Second) // the server may be mute
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return ""
	}
	defer closeConn(conn)
	if _, err := s.settle(ctx, conn); err != nil {
		return ""
	}
	list, _ := blockersOf(ctx, conn, pid)
	return inOneLine(list)
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
