package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	watchEvery  = 300 * time.Millisecond
	remindEvery = 5 * time.Second
)

// watcher looks, from a connection of its own, at what the run's session waits for.
type watcher struct {
	run  *run
	pid  uint32        // the session's backend
	wait time.Duration // how long it may be blocked without a break; 0: no limit

	conn    *pgx.Conn
	blocked time.Time // since when; zero: it is not
	logged  time.Time
	doing   string // what the blockers did when they were logged
}

// watch follows a statement until stop is called. It says who blocks it, how far it has come, and cancels
// the context that it returns, with an *Error as the cause, when others have blocked it for too long.
func (r *run) watch(ctx context.Context, pid uint32, wait time.Duration) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := &watcher{run: r, pid: pid, wait: wait}
		w.follow(watched, cancel)
	}()
	return watched, func() {
		cancel(nil)
		<-done
	}
}

func (w *watcher) follow(ctx context.Context, cancel context.CancelCauseFunc) {
	defer func() {
		if w.conn != nil {
			closeConn(w.conn)
		}
	}()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		list, err := w.look(ctx)
		if err != nil && ctx.Err() == nil {
			w.run.opts.Log.Debug("cannot see who blocks", "error", oneLine(err.Error()))
		}
		if err == nil {
			w.judge(list, cancel)
		}
	}
}

// look reads who blocks the session, and passes on how far it is. A lost connection is opened again the
// next time.
func (w *watcher) look(ctx context.Context) (list []backend, err error) {
	if w.conn == nil || w.conn.IsClosed() {
		if w.conn, err = pgx.ConnectConfig(ctx, w.run.config); err != nil {
			w.conn = nil
			return nil, err
		}
		if err := configureSession(ctx, w.conn); err != nil {
			return nil, err
		}
	}
	if list, err = backends(ctx, w.conn, blockers, int32(w.pid)); err != nil {
		return nil, err
	}
	return list, w.run.indexProgress(ctx, w.conn, w.pid)
}

// judge says who blocks when that changes, and again every few seconds.
func (w *watcher) judge(list []backend, cancel context.CancelCauseFunc) {
	if len(list) == 0 {
		w.blocked, w.doing = time.Time{}, ""
		return
	}
	now := time.Now()
	if w.blocked.IsZero() {
		w.blocked = now
	}
	var doing string
	var names []string
	for _, b := range list {
		doing += b.doing()
		names = append(names, b.String())
	}
	by, waited := strings.Join(names, "; "), now.Sub(w.blocked).Round(100*time.Millisecond)
	if w.doing != doing || now.Sub(w.logged) >= remindEvery {
		w.doing, w.logged = doing, now
		w.run.opts.Log.Warn("blocked", "file", w.run.file.name, "waited", waited, "by", by)
	}
	if w.wait > 0 && now.Sub(w.blocked) >= w.wait {
		cancel(&Error{Kind: LockWait, Message: fmt.Sprintf("blocked for %s by %s", waited, by)})
	}
}
