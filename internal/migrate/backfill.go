package migrate

import (
	"context"
	"database/sql/driver"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// oneSlice has the block of a back-fill end after each slice: the server then counts what was done, so that
// autovacuum sees it, and this side may pause.
const oneSlice = "SET taskmigrate.one_slice = on"

// isBackfill tells of a statement that is to be sent until it says that it is through.
func isBackfill(query string) bool { return strings.Contains(query, "'taskmigrate.one_slice'") }

// backfill sends a block slice by slice.
func (s *session) backfill(ctx context.Context, query string) (driver.Result, error) {
	if _, err := s.send(ctx, 0, oneSlice); err != nil {
		return nil, err
	}
	for {
		result, err := s.send(ctx, s.run.file.statement, query)
		if err != nil || s.run.file.through || s.run.script != nil {
			return result, err
		}
		if err := pause(ctx, s.run.opts.BackfillPause); err != nil {
			return nil, err
		}
		if err := s.awaitStandbys(ctx); err != nil {
			return nil, err
		}
	}
}

// awaitStandbys waits until every standby has replayed all but BackfillMaxLag bytes.
func (s *session) awaitStandbys(ctx context.Context) error {
	limit := s.run.opts.BackfillMaxLag
	for began, logged := time.Now(), (time.Time{}); limit > 0; {
		var name string
		var lag int64
		err := s.Conn.Conn().QueryRow(ctx, `
SELECT coalesce(max(application_name), ''), coalesce(max(lag), 0)
FROM (SELECT application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint AS lag
      FROM pg_stat_replication ORDER BY lag DESC NULLS LAST LIMIT 1) AS slowest`).Scan(&name, &lag)
		if err != nil || lag <= limit {
			return err
		}
		if wait := s.run.opts.IndexWait; wait > 0 && time.Since(began) >= wait {
			return &Error{
				Kind:    HalfDone,
				Message: fmt.Sprintf("standby %q stays behind by %d bytes of WAL", name, lag),
				Hint:    "see pg_stat_replication; --backfill-max-lag 0 does not wait for standbys",
			}
		}
		if time.Since(logged) >= remindEvery {
			logged = time.Now()
			s.run.opts.Log.Warn("waiting for a standby", "file", s.run.file.name, "standby", name,
				"behind_by_bytes", lag, "limit", limit)
		}
		if err := pause(ctx, watchEvery); err != nil {
			return err
		}
	}
	return nil
}

var sliceNotice = regexp.MustCompile(`^back-fill: (\d+) rows read of about (\d+)`)

// notice hears a back-fill say how far it is, and that it is about to commit changed rows.
func (r *run) notice(_ *pgconn.PgConn, notice *pgconn.Notice) {
	switch notice.Message {
	case "back-fill: through":
		r.file.through = true
		return
	case "back-fill: commits repaired rows":
		r.file.partlyDone = true
		return
	}
	said := sliceNotice.FindStringSubmatch(notice.Message)
	if said == nil {
		r.opts.Log.Debug("notice", "file", r.file.name, "message", notice.Message)
		return
	}
	read, _ := strconv.ParseInt(said[1], 10, 64)
	total, _ := strconv.ParseInt(said[2], 10, 64)
	r.file.read += read
	total = max(total, r.file.read)
	if r.opts.Progress != nil {
		r.opts.Progress(Progress{File: r.file.name, Phase: "back-fill", Done: r.file.read, Total: total, Rows: total})
	}
}
