package migrate

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Obstacle is somebody whom a run would wait for now, or who would keep what a run leaves behind.
type Obstacle struct {
	Why string `json:"why"`
	Who string `json:"who"`
}

// snapshotIsOld is the age in seconds from which a transaction is worth a word.
const snapshotIsOld = 10

// obstacles lists them, but for those who hold a lock on tasks: a plan has these.
func obstacles(ctx context.Context, conn *pgx.Conn) ([]Obstacle, error) {
	found := []Obstacle{}
	for _, sort := range []struct {
		why, query string
		args       []any
	}{
		{"has an old snapshot: an index build outside a transaction waits for it", oldSnapshots, []any{snapshotIsOld}},
		{"builds an index on tasks", indexBuilds, nil},
		{"keeps VACUUM from cleaning up after the back-fill", otherPrepared, nil},
	} {
		list, err := backends(ctx, conn, sort.query, sort.args...)
		if err != nil {
			return nil, err
		}
		for _, b := range list {
			found = append(found, Obstacle{sort.why, b.String()})
		}
	}
	rows, err := conn.Query(ctx, slots, slotIsOld)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[slot])
	for _, s := range list {
		found = append(found, Obstacle{s.why(), s.String()})
	}
	return found, err
}

// slotIsOld is how many transactions the rows are old that a slot in use may keep without a word.
const slotIsOld = 100_000

// slots are the replication slots that nobody reads, or whose readers are far behind.
const slots = `
SELECT slot_name::text, slot_type, active,
    coalesce(pg_wal_lsn_diff(newest, restart_lsn), 0)::bigint,
    coalesce(age(xmin), -1)::bigint, coalesce(age(catalog_xmin), -1)::bigint
FROM pg_replication_slots,
    (SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END) AS wal (newest)
WHERE NOT active AND wal_status <> 'lost' OR wal_status IN ('extended', 'unreserved')
    OR greatest(age(xmin), age(catalog_xmin)) > $1
ORDER BY slot_name`

// slot is a replication slot that keeps what the server could do without.
type slot struct {
	Name, Type  string
	Active      bool
	WALBytes    int64
	RowAge      int64 // in transactions, of the rows that it keeps; -1: it keeps none
	CatalogsAge int64 // the same for rows of the catalogs
}

func (s slot) why() string {
	if s.RowAge >= 0 {
		return "keeps the WAL of a run, and VACUUM from cleaning up after the back-fill"
	}
	return "keeps the WAL of a run on the disk"
}

func (s slot) String() string {
	state, advice := "in use", ""
	if !s.Active {
		state, advice = "which nobody reads", "; pg_drop_replication_slot drops it"
	}
	text := fmt.Sprintf("%s replication slot %q, %s, keeps %.1f MB of WAL", s.Type, s.Name, state, float64(s.WALBytes)/1e6)
	if s.RowAge >= 0 {
		text += fmt.Sprintf(", rows from %d transactions ago", s.RowAge)
	}
	if s.CatalogsAge >= 0 {
		text += fmt.Sprintf(", the catalogs' rows from %d transactions ago", s.CatalogsAge)
	}
	return text + advice
}
