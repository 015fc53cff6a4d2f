package migrate

import (
	"context"
	"errors"
	"fmt"
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
	watched, cancel := context.WithCancelCause(asWatched(ctx))
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
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			w.judge(list, cancel)
		default:
			w.run.opts.Log.Warn("cannot see what the run waits for; its limits hold",
				"file", w.run.file.name, "error", w.run.connectError(ctx, err).Message)
			if pause(ctx, remindEvery) != nil {
				return
			}
		}
	}
}

// look reads who blocks the session, and passes on how far it is. A lost connection is opened again the
// next time.
func (w *watcher) look(ctx context.Context) (list []backend, err error) {
	ctx, cancel := context.WithTimeout(asWatched(ctx), silentFor)
	defer cancel()
	if w.conn == nil || w.conn.IsClosed() {
		if w.conn, err = pgx.ConnectConfig(ctx, w.run.config); err != nil {
			w.conn = nil
			return nil, err
		}
		if _, err := w.run.settle(ctx, w.conn); err != nil {
			return nil, err
		}
	}
	var waitsFor string
	const event = `SELECT coalesce(max(wait_event), '') FROM pg_stat_activity WHERE pid = $1`
	if err := w.conn.QueryRow(ctx, event, int32(w.pid)).Scan(&waitsFor); err != nil {
		return nil, err
	}
	if waitsFor == "SyncRep" && time.Since(w.logged) >= remindEvery {
		w.logged = time.Now()
		w.run.opts.Log.Warn("a commit waits for a synchronous standby", "file", w.run.file.name)
	}
	if list, err = blockersOf(ctx, w.conn, w.pid); err != nil {
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
	for _, b := range list {
		doing += b.doing()
	}
	by, waited := inOneLine(list), now.Sub(w.blocked).Round(100*time.Millisecond)
	if w.doing != doing || now.Sub(w.logged) >= remindEvery {
		w.doing, w.logged = doing, now
		w.run.opts.Log.Warn("blocked", "file", w.run.file.name, "waited", waited, "by", by)
	}
	if w.wait > 0 && now.Sub(w.blocked) >= w.wait {
		cancel(&Error{Kind: LockWait, Message: fmt.Sprintf("blocked for %s by %s", waited, by)})
	}
}

// Progress is how far a long statement has come.
type Progress struct {
	File  string
	Phase string // in the server's words: "building index: scanning table"
	Done  int64  // of Total, in a unit that depends on the phase
	Total int64  // 0: unknown, or waiting for others
	Rows  int64  // of the table, as the planner estimates them
}

// indexProgress passes on what the server says of an index build by the backend pid.
func (r *run) indexProgress(ctx context.Context, conn *pgx.Conn, pid uint32) error {
	if r.opts.Progress == nil {
		return nil
	}
	p := Progress{File: r.file.name}
	err := conn.QueryRow(ctx, `
SELECT phase,
    CASE WHEN tuples_total > 0 THEN tuples_done WHEN blocks_total > 0 THEN blocks_done ELSE 0 END,
    CASE WHEN tuples_total > 0 THEN tuples_total WHEN blocks_total > 0 THEN blocks_total ELSE 0 END,
    greatest(reltuples, 0)::bigint
FROM pg_stat_progress_create_index JOIN pg_class ON pg_class.oid = relid
WHERE pid = $1`, int32(pid)).Scan(&p.Phase, &p.Done, &p.Total, &p.Rows)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err == nil {
		r.opts.Progress(p)
	}
	return err
}
