package migrate

import (
	"context"
	"errors"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

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

var backfillNotice = regexp.MustCompile(`^progress: (\d+) of about (\d+) rows read`)

// notice hears a back-fill say how far it is. The back-fill commits as it goes: what it has read is done.
func (r *run) notice(_ *pgconn.PgConn, notice *pgconn.Notice) {
	said := backfillNotice.FindStringSubmatch(notice.Message)
	if said == nil {
		r.opts.Log.Debug("notice", "file", r.file.name, "message", notice.Message)
		return
	}
	r.file.partlyDone = true
	if r.opts.Progress == nil {
		return
	}
	done, _ := strconv.ParseInt(said[1], 10, 64)
	total, _ := strconv.ParseInt(said[2], 10, 64)
	r.opts.Progress(Progress{File: r.file.name, Phase: "back-fill", Done: done, Total: total, Rows: total})
}
