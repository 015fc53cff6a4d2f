package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tasklane/tasks/internal/migrate/catalog"
)

// Review is all that a person needs who approves a migration, as it was when it was read.
type Review struct {
	At         time.Time         `json:"at"`
	Database   string            `json:"database"`
	Role       string            `json:"role"`
	Server     []Setting         `json:"server"`
	Table      TableState        `json:"table"`
	Verdict    string            `json:"verdict"`
	Sound      bool              `json:"sound"` // nothing has to be put right by hand
	NextSteps  []Step            `json:"next_steps"`
	Migrations []Migration       `json:"-"` // the command's report has these two itself
	Findings   []catalog.Finding `json:"-"`
	Plan       Plan              `json:"-"`
	Obstacles  []Obstacle        `json:"obstacles"`
	Backfill   *Amount           `json:"backfill"` // nil: none is pending, or the rows cannot be judged
}

// Setting is a setting of the server or the table, in words.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// TableState is how large the table is and how it is set up. Without a table all is zero.
type TableState struct {
	HeapBytes   int64       `json:"heap_bytes"`
	IndexBytes  int64       `json:"index_bytes"`
	ToastBytes  int64       `json:"toast_bytes"`
	DeadRows    int64       `json:"dead_rows"`    // as the server counts them
	BloatBytes  *int64      `json:"bloat_bytes"`  // of the heap, estimated; nil: it was never analyzed
	LastAnalyze *time.Time  `json:"last_analyze"` // nil: never
	Settings    []Setting   `json:"settings"`
	Indexes     []IndexSize `json:"indexes"`
}

// IndexSize is an index with its size.
type IndexSize struct {
	Name       string `json:"name"`
	Bytes      int64  `json:"bytes"`
	Valid      bool   `json:"valid"`
	Definition string `json:"definition"`
}

// Step is one thing to do next.
type Step struct {
	What    string `json:"what"`
	Command string `json:"command"` // taskmigrate adds the flags that lead to the table; empty: it is no command
}

// Review reads all of it. It only reads, and does so beside a run that is under way.
func (m *Migrator) Review(ctx context.Context) (Review, error) {
	r := Review{At: time.Now().UTC().Truncate(time.Second), Findings: []catalog.Finding{}}
	var exists, managed bool
	err := m.reading(ctx, func(conn *pgx.Conn, m *Migrator) (err error) {
		history, err := m.readHistory(ctx, conn)
		if err != nil {
			return err
		}
		managed = len(history) > 0
		exists, err = r.read(ctx, conn)
		return err
	})
	if err != nil {
		return r, err
	}
	if managed {
		_, r.Findings, err = m.Verify(ctx)
	} else if exists {
		var adoption Adoption
		adoption, err = m.Adopt(ctx, false)
		r.Findings = adoption.Findings
	}
	if failure, ok := errors.AsType[*Error](err); err != nil && (!ok || failure.Kind != Drift) {
		return r, err
	}
	if r.Plan, r.Migrations, err = m.Plan(ctx, Newest); err != nil {
		return r, err
	}
	repeats := func(s Statement) bool { return s.Repeats }
	if exists && slices.ContainsFunc(r.Plan.Statements, repeats) && !slices.ContainsFunc(r.Findings, hidesTimes) {
		err := m.reading(ctx, func(conn *pgx.Conn, _ *Migrator) error { return r.countBackfill(ctx, conn) })
		if err != nil {
			return r, err
		}
	}
	for _, who := range r.Plan.InTheWay {
		r.Obstacles = append(r.Obstacles, Obstacle{"holds a lock on tasks", who})
	}
	r.conclude(exists, managed)
	return r, nil
}

// reading lends a connection that has found its home.
func (m *Migrator) reading(ctx context.Context, do func(*pgx.Conn, *Migrator) error) error {
	conn, m, err := m.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	if err := do(conn, m); err != nil {
		return asError(ctx, err)
	}
	return nil
}

// conclude says what the findings mean and how to go on.
func (r *Review) conclude(exists, managed bool) {
	severities := []string{catalog.Block, catalog.Repair, catalog.Note}
	slices.SortStableFunc(r.Findings, func(a, b catalog.Finding) int {
		return cmp.Compare(slices.Index(severities, a.Severity), slices.Index(severities, b.Severity))
	})
	blocks, repairs := count(r.Findings, catalog.Block), count(r.Findings, catalog.Repair)
	pending := 0
	for _, m := range r.Migrations {
		if m.State == StatePending {
			pending++
		}
	}
	r.Sound = blocks == 0 && (repairs == 0 || !managed)
	step := func(what, command string) { r.NextSteps = append(r.NextSteps, Step{what, "taskmigrate " + command}) }
	if blocks > 0 {
		r.NextSteps = append(r.NextSteps, Step{What: "Put right what the findings marked block say, by hand."})
		step("Look again.", "report")
	}
	switch {
	case !exists && !managed:
		r.Verdict = "There is no table tasks yet. The migrations create it."
	case !managed && blocks > 0:
		r.Verdict = fmt.Sprintf("The table cannot be adopted yet: %d to be put right by hand first.", blocks)
	case !managed:
		r.Verdict = "The table can be adopted as it is. No row is changed by that."
	case blocks > 0:
		r.Verdict = fmt.Sprintf("The table is not as its history says: %d to be put right by hand first.", blocks)
	case repairs > 0:
		r.Verdict = fmt.Sprintf(
			"The table is not as its history says: %d to be put right, which taskmigrate up does.", repairs)
	case pending > 0:
		r.Verdict = fmt.Sprintf("The table is as its history says. %d migrations are pending.", pending)
	default:
		r.Verdict = "The table is as it should be, and no migration is pending."
	}
	if exists && !managed {
		step("Take the table over: this records what is there and changes nothing else.", "adopt --yes")
	}
	if len(r.Plan.Statements) > 0 {
		step("Apply what is pending. It can be stopped and repeated.", "up")
	}
	step("See that all is as it should be.", "verify")
}

// read reads what no other command shows, and tells whether there is a table.
func (r *Review) read(ctx context.Context, conn *pgx.Conn) (exists bool, err error) {
	err = conn.QueryRow(ctx, `SELECT current_database(), current_user, to_regclass('tasks') IS NOT NULL`).
		Scan(&r.Database, &r.Role, &exists)
	if err != nil {
		return false, err
	}
	if r.Server, err = all[Setting](ctx, conn, serverSettings); err != nil {
		return false, err
	}
	r.Table.Settings, r.Table.Indexes = []Setting{}, []IndexSize{}
	if exists {
		if err := r.Table.read(ctx, conn); err != nil {
			return false, err
		}
	}
	r.Obstacles, err = obstacles(ctx, conn)
	return exists, err
}

func (t *TableState) read(ctx context.Context, conn *pgx.Conn) (err error) {
	err = conn.QueryRow(ctx, tableState).Scan(
		&t.HeapBytes, &t.IndexBytes, &t.ToastBytes, &t.DeadRows, &t.BloatBytes, &t.LastAnalyze)
	if err != nil {
		return err
	}
	if t.Settings, err = all[Setting](ctx, conn, tableSettings); err != nil {
		return err
	}
	t.Indexes, err = all[IndexSize](ctx, conn, indexSizes)
	return err
}

func all[T any](ctx context.Context, conn *pgx.Conn, query string) ([]T, error) {
	rows, err := conn.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	return slices.Clip(list), err
}

// serverSettings are those that decide how long a migration takes and what it costs.
const serverSettings = `
SELECT name, current_setting(name)
FROM unnest(array['server_version', 'max_wal_size', 'wal_level', 'maintenance_work_mem',
    'max_parallel_maintenance_workers', 'autovacuum', 'synchronous_commit', 'synchronous_standby_names',
    'max_standby_streaming_delay']) AS wanted (name)
WHERE current_setting(name) <> ''`

// tableState has an estimate of bloat: the heap's size less what its rows need by their average widths.
const tableState = `
SELECT pg_relation_size(c.oid), pg_indexes_size(c.oid),
    coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0),
    coalesce(s.n_dead_tup, 0),
    CASE WHEN c.reltuples > 0 AND w.width IS NOT NULL THEN greatest(0, pg_relation_size(c.oid)
        - ceil(c.reltuples * (28 + w.width) / (8168 * f.share)) * 8192)::bigint END,
    greatest(s.last_analyze, s.last_autoanalyze)
FROM pg_class AS c
    LEFT JOIN pg_stat_user_tables AS s ON s.relid = c.oid
    CROSS JOIN LATERAL (
        SELECT sum(avg_width * (1 - null_frac))::float8 FROM pg_stats
        WHERE schemaname = current_schema() AND tablename = 'tasks') AS w (width)
    CROSS JOIN LATERAL (
        SELECT coalesce(max(split_part(option, '=', 2)::float8) FILTER (WHERE option LIKE 'fillfactor=%'), 100) / 100
        FROM unnest(c.reloptions) AS option) AS f (share)
WHERE c.oid = to_regclass('tasks')`

const tableSettings = `
SELECT split_part(option, '=', 1), split_part(option, '=', 2)
FROM pg_class, unnest(reloptions) AS option
WHERE oid = to_regclass('tasks')`

const indexSizes = `
SELECT relname::text, pg_relation_size(indexrelid), indisvalid, pg_get_indexdef(indexrelid)
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE indrelid = to_regclass('tasks')
ORDER BY pg_relation_size(indexrelid) DESC, relname`
