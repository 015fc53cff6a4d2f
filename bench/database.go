package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/tasklane/tasks/bench/peer"
	"github.com/tasklane/tasks/internal/pgserver"
	"github.com/tasklane/tasks/schema"
)

// startServer starts a server with settings that fit this load. A commit waits for the disk. Vacuum and
// checkpoints run between the measurements, so that none of them disturbs one.
func startServer(ctx context.Context) (*pgserver.Server, error) {
	return pgserver.Start(ctx, pgserver.Durable(),
		pgserver.Setting("max_connections", "300"),
		pgserver.Setting("shared_buffers", "2GB"),
		pgserver.Setting("max_wal_size", "16GB"),
		pgserver.Setting("checkpoint_timeout", "1h"),
		pgserver.Setting("autovacuum", "off"),
	)
}

// database is a migrated database and, while a workload runs on it, the peers' connections.
type database struct {
	name     string
	admin    *pgxpool.Pool
	drop     func() error
	url      string
	away     time.Duration // how far the peers are, each way
	conns    int
	peers    map[string]peer.Peer
	river    *peer.River
	pgbench  *peer.PGBench
	snapshot *pgxpool.Conn
	stop     func() error // what carries the peers' bytes
}

func newDatabase(ctx context.Context, server *pgserver.Server, name string, conns int) (*database, error) {
	url, drop, err := server.CreateDatabase(ctx)
	if err != nil {
		return nil, err
	}
	admin, err := pgxpool.New(ctx, url)
	if err != nil {
		return nil, errors.Join(err, drop())
	}
	d := &database{
		name: name, admin: admin, drop: drop, url: url, away: distances[name], conns: conns,
		pgbench: peer.FindPGBench(url),
	}
	if err := migrate(ctx, admin); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func migrate(ctx context.Context, pool *pgxpool.Pool) error {
	db := stdlib.OpenDBFromPool(pool)
	defer func() { _ = db.Close() }()
	provider, err := goose.NewProvider(goose.DialectPostgres, db, schema.FS,
		goose.WithTableName("tasks_goose_version"), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// connect opens the peers.
func (d *database) connect(ctx context.Context) error {
	if d.peers != nil {
		return nil
	}
	url := d.url
	if d.away > 0 {
		var err error
		if url, d.stop, err = behind(d.url, d.away); err != nil {
			return err
		}
	}
	all, err := peer.Open(ctx, url, d.conns)
	if err != nil {
		return err
	}
	d.peers = make(map[string]peer.Peer)
	for _, p := range all {
		d.peers[p.Name] = p
	}
	d.river, err = peer.NewRiver(ctx, d.url, d.conns)
	return err
}

// disconnect closes the peers, and the old snapshot if there is one.
func (d *database) disconnect() {
	for _, p := range d.peers {
		p.Close()
	}
	if d.river != nil {
		d.river.Close()
	}
	if d.stop != nil {
		_ = d.stop() // nobody connects any more
	}
	d.peers, d.river, d.stop = nil, nil, nil
	d.release()
}

func (d *database) close() error {
	d.disconnect()
	d.admin.Close()
	return d.drop()
}

// settle does the server's pending upkeep now, so that it does not fall into the next measurement.
func (d *database) settle(ctx context.Context) error {
	return d.exec(ctx, "VACUUM ANALYZE tasks", "CHECKPOINT")
}

func (d *database) empty(ctx context.Context) error {
	return d.exec(ctx, "TRUNCATE tasks RESTART IDENTITY")
}

// fill adds tasks first to first+n-1 of peer.NewTask in a status.
func (d *database) fill(ctx context.Context, first, n, status int) error {
	const slice = 100_000
	for i := 0; i < n; i += slice {
		if _, err := d.admin.Exec(ctx, peer.Fill, first+i, first+min(i+slice, n), status); err != nil {
			return err
		}
		if n > 10*slice && (i/slice)%10 == 9 {
			log.Printf("%d rows", first+i+slice)
		}
	}
	return nil
}

// hold keeps a snapshot open from now on, as a long report or a forgotten session does.
func (d *database) hold(ctx context.Context) error {
	conn, err := d.admin.Acquire(ctx)
	if err != nil {
		return err
	}
	d.snapshot = conn
	for _, sql := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM pg_class"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// release ends the transaction that hold began.
func (d *database) release() {
	if d.snapshot == nil {
		return
	}
	_, _ = d.snapshot.Exec(context.Background(), "ROLLBACK") // if the connection is broken, its snapshot is gone, too
	d.snapshot.Release()
	d.snapshot = nil
}

func (d *database) exec(ctx context.Context, statements ...string) error {
	for _, sql := range statements {
		if _, err := d.admin.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// count returns how many tasks have one of the statuses, or how many there are if no status is given.
func (d *database) count(ctx context.Context, statuses ...int) (n int, err error) {
	const sql = "SELECT count(*) FROM tasks WHERE $1::int[] IS NULL OR status = ANY ($1)"
	err = d.admin.QueryRow(ctx, sql, statuses).Scan(&n)
	return n, err
}

// tasks reads n tasks, beginning with id first.
func (d *database) tasks(ctx context.Context, first, n int) ([]task, error) {
	rows, err := d.admin.Query(ctx, "SELECT * FROM tasks WHERE id >= $1 ORDER BY id LIMIT $2", first, n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[task])
}
