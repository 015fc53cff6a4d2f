package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverPeer is River with its default settings, or with another pause between fetches.
type riverPeer struct {
	pool     *pgxpool.Pool
	cooldown time.Duration
	producer *river.Client[pgx.Tx]
}

var quiet = slog.New(slog.DiscardHandler)

func newRiver(pool *pgxpool.Pool, cooldown time.Duration) (*riverPeer, error) {
	producer, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: quiet, FetchCooldown: cooldown})
	return &riverPeer{pool, cooldown, producer}, err
}

func (p *riverPeer) migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(p.pool), &rivermigrate.Config{Logger: quiet})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	return err
}

// riverJob has the fields of a task.
type riverJob struct {
	IntegrationID int64  `json:"integration_id"`
	UserID        int64  `json:"user_id"`
	ClientID      int64  `json:"client_id"`
	AccountID     int64  `json:"account_id"`
	TemplateID    int64  `json:"template_id"`
	Argument      string `json:"argument"`
}

func (riverJob) Kind() string { return "task" }

func (p *riverPeer) enqueue(ctx context.Context, payloads []string) error {
	jobs := make([]river.InsertManyParams, len(payloads))
	for i, t := range newTasks(payloads) {
		jobs[i] = river.InsertManyParams{Args: riverJob{
			t.IntegrationID, t.UserID, t.ClientID, t.AccountID, t.TemplateID, t.Argument}}
	}
	_, err := p.producer.InsertManyFast(ctx, jobs)
	return err
}

type riverWorker struct {
	river.WorkerDefaults[riverJob]
	handle func(string)
}

func (w riverWorker) Work(_ context.Context, j *river.Job[riverJob]) error {
	w.handle(j.Args.Argument)
	return nil
}

func (p *riverPeer) work(ctx context.Context, handlers int, _ string, handle func(string)) (func() error, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, riverWorker{handle: handle})
	client, err := river.NewClient(riverpgxv5.New(p.pool), &river.Config{
		Logger:        quiet,
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: handlers}},
		Workers:       workers,
		FetchCooldown: p.cooldown,
	})
	if err != nil {
		return nil, err
	}
	return func() error { return client.Stop(context.WithoutCancel(ctx)) }, client.Start(ctx)
}
