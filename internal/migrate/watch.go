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
	wait time.Duration // how long it may be blocked without a break; 0: as long as it likes

	conn    *pgx.Conn
	blocked time.Time // since when; zero: it is not
	told    time.Time
	who     string
}

// watch follows a statement until stop is called. It says who blocks it, how far it has come, and cancels
// the context that it returns, with an *Error as the cause, when others have blocked it for too long.
func (r *run) watch(ctx context.Context, pid uint32, wait time.Duration) (context.Context, func()) {
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
		blockers, err := w.look(ctx)
		if err != nil && ctx.Err() == nil {
			w.run.opts.Log.Debug("cannot see who blocks", "error", oneLine(err.Error()))
		}
		if err == nil {
			w.judge(blockers, cancel)
		}
	}
}

// look reads who blocks the session, and passes on how far it is. A lost connection is opened again the
// next time.
func (w *watcher) look(ctx context.Context) (blockers []backend, err error) {
	if w.conn == nil || w.conn.IsClosed() {
		if w.conn, err = pgx.ConnectConfig(ctx, w.run.config); err != nil {
			w.conn = nil
			return nil, err
		}
		if err := configureSession(ctx, w.conn); err != nil {
			return nil, err
		}
	}
	rows, err := w.conn.Query(ctx, blockersQuery, int32(w.pid))
	if err != nil {
		return nil, err
	}
	blockers, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (b backend, err error) {
		return b, row.Scan(b.columns()...)
	})
	if err != nil {
		return nil, err
	}
	return blockers, w.progress(ctx)
}

// judge says who blocks when that changes, and again every few seconds.
func (w *watcher) judge(blockers []backend, cancel context.CancelCauseFunc) {
	if len(blockers) == 0 {
		w.blocked, w.who = time.Time{}, ""
		return
	}
	now := time.Now()
	if w.blocked.IsZero() {
		w.blocked = now
	}
	var who, list []string
	for _, b := range blockers {
		who = append(who, b.who())
		list = append(list, b.String())
	}
	waited := now.Sub(w.blocked)
	if w.who != fmt.Sprint(who) || now.Sub(w.told) >= remindEvery {
		w.who, w.told = fmt.Sprint(who), now
		w.run.opts.Log.Warn("blocked", "file", w.run.file.name, "waited", waited.Round(100*time.Millisecond), "by", strings.Join(list, "; "))
	}
	if w.wait > 0 && waited >= w.wait {
		cancel(&Error{
			Code:    ExitLockWait,
			Message: fmt.Sprintf("blocked for %s by %s", waited.Round(100*time.Millisecond), strings.Join(list, "; ")),
		})
	}
}
