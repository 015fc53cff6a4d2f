package main

import (
	"context"
	"os"
	"regexp"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// state is how the table and its indexes are filled. Reading that reads the indexes whole.
type state struct {
	TableMB float64 `json:"table_mb"`
	Free    float64 `json:"table_free_percent"`
	Dead    float64 `json:"table_dead_percent"`
	Indexes []index `json:"indexes"`
}

type index struct {
	Name    string  `json:"name"`
	MB      float64 `json:"mb"`
	Density float64 `json:"leaf_density_percent"`
	Leaves  int64   `json:"leaf_pages"`
	Empty   int64   `json:"empty_pages"` // to be used again
}

func look(ctx context.Context, pool *pgxpool.Pool) (state, error) {
	var s state
	err := pool.QueryRow(ctx, `
SELECT table_len / 1e6, approx_free_percent, dead_tuple_percent FROM pgstattuple_approx('tasks')`).
		Scan(&s.TableMB, &s.Free, &s.Dead)
	if err != nil {
		return s, err
	}
	rows, err := pool.Query(ctx, `
SELECT relname AS name, index_size / 1e6 AS mb, CASE WHEN leaf_pages > 0 THEN avg_leaf_density ELSE 0 END AS density,
    leaf_pages AS leaves, deleted_pages + empty_pages AS empty
FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid, pgstatindex(indexrelid)
WHERE indrelid = 'tasks'::regclass ORDER BY relname`)
	if err != nil {
		return s, err
	}
	s.Indexes, err = pgx.CollectRows(rows, pgx.RowToStructByName[index])
	return s, err
}

// vacuum is a run of autovacuum on the table, as the server's log tells.
type vacuum struct {
	Seconds    float64 `json:"seconds"`
	CPU        float64 `json:"cpu_seconds"`
	Removed    int64   `json:"rows_removed"`
	Left       int64   `json:"dead_rows_left"`
	IndexScans int64   `json:"index_scans"`
	Read       int64   `json:"pages_read"`
	Dirtied    int64   `json:"pages_dirtied"`
	WAL        int64   `json:"wal_bytes"`
}

var vacuumed = regexp.MustCompile(`automatic (?:aggressive )?vacuum of table "[^"]*\.tasks": index scans: (\d+)
(?:\t.*\n)*?\ttuples: (\d+) removed, \d+ remain, (\d+) are dead.*
(?:\t.*\n)*?\tbuffer usage: \d+ hits, (\d+) misses, (\d+) dirtied
\tWAL usage: \d+ records, \d+ full page images, (\d+) bytes
\tsystem usage: CPU: user: ([\d.]+) s, system: ([\d.]+) s, elapsed: ([\d.]+) s`)

// vacuums reads the server's log.
func vacuums(file string) ([]vacuum, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var res []vacuum
	for _, m := range vacuumed.FindAllStringSubmatch(string(text), -1) {
		n := func(i int) float64 {
			f, _ := strconv.ParseFloat(m[i], 64) // the expression allows numbers only
			return f
		}
		res = append(res, vacuum{
			IndexScans: int64(n(1)), Removed: int64(n(2)), Left: int64(n(3)), Read: int64(n(4)), Dirtied: int64(n(5)),
			WAL: int64(n(6)), CPU: n(7) + n(8), Seconds: n(9),
		})
	}
	return res, nil
}
