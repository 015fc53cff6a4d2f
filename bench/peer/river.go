package peer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// River is a task runner with its own tables and its own job loop, so it is measured as a whole.
type River struct {
	pool *pgxpool.Pool
}

// NewRiver creates River's tables beside ours and gives it a pool of up to conns connections.
func NewRiver(ctx context.Context, url string, conns int) (*River, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = int32(conns), int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet})
	if err != nil {
		return nil, err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return &River{pool: pool}, err
}

var quiet = slog.New(slog.DiscardHandler)

// job has the fields of a task.
type job struct {
	IntegrationID int64  `json:"integration_id"`
	UserID        int64  `json:"user_id"`
	ClientID      int64  `json:"client_id"`
	AccountID     int64  `json:"account_id"`
	TemplateID    int64  `json:"template_id"`
	Argument      string `json:"argument"`
	Key           string `json:"-"`
}

func (job) Kind() string { return "task" }

type noop struct{ river.WorkerDefaults[job] }

func (noop) Work(context.Context, *river.Job[job]) error { return nil }

// Fill empties River's queue and inserts n jobs.
func (r *River) Fill(ctx context.Context, n int) error {
	if _, err := r.pool.Exec(ctx, "TRUNCATE river_job"); err != nil {
		return err
	}
	client, err := river.NewClient(riverpgxv5.New(r.pool), &river.Config{Logger: quiet})
	if err != nil {
		return err
	}
	params := make([]river.InsertManyParams, n)
	for i, t := range NewTasks(n) {
		params[i] = river.InsertManyParams{Args: job(t)}
	}
	_, err = client.InsertManyFast(ctx, params)
	return err
}

// Work runs as many River clients as clients says, each with up to batch workers, until n jobs are completed. It
// returns the time from the first job's start on. The clients fetch as fast as River permits: its default
// cooldown of 100 ms would limit each to ten batches a second.
func (r *River) Work(ctx context.Context, n, clients, batch int) (time.Duration, error) {
	events := make([]<-chan *river.Event, clients)
	started := time.Now()
	for i := range clients {
		workers := river.NewWorkers()
		river.AddWorker(workers, noop{})
		client, err := river.NewClient(riverpgxv5.New(r.pool), &river.Config{
			Logger:            quiet,
			ID:                fmt.Sprintf("bench-%d-%d", i, started.UnixNano()),
			Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: batch}},
			Workers:           workers,
			FetchCooldown:     river.FetchCooldownMin,
			FetchPollInterval: 5 * time.Millisecond,
		})
		if err != nil {
			return 0, err
		}
		var cancel func()
		events[i], cancel = client.SubscribeConfig(&river.SubscribeConfig{
			ChanSize: n + 1, Kinds: []river.EventKind{river.EventKindJobCompleted},
		})
		defer cancel()
		if err := client.Start(ctx); err != nil {
			return 0, err
		}
		defer client.Stop(context.WithoutCancel(ctx)) //nolint:errcheck // by then no job is running
	}
	merged := make(chan *river.Event, clients)
	for _, ch := range events {
		go func() {
			for e := range ch {
				merged <- e
			}
		}()
	}
	var first, last time.Time
	for range n {
		select {
		case e := <-merged:
			if at := e.Job.AttemptedAt; at != nil && (first.IsZero() || at.Before(first)) {
				first = *at
			}
			last = time.Now()
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Minute):
			return 0, fmt.Errorf("river completed no job for a minute; %d were asked for", n)
		}
	}
	return last.Sub(first), r.check(ctx, n)
}

func (r *River) check(ctx context.Context, n int) error {
	var done int
	err := r.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&done)
	if err == nil && done != n {
		err = fmt.Errorf("river completed %d of %d jobs", done, n)
	}
	return err
}

// Close ends the pool's connections.
func (r *River) Close() { r.pool.Close() }
