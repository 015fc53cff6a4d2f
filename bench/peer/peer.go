// Package peer contains the ways to work with the tasks table that the benchmark compares: ours, and what
// people would use instead. Each is written as its own documentation recommends.
package peer

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// Peer is one way to work with the table. What it cannot do is nil.
type Peer struct {
	Name string

	Create     func(context.Context, taskstore.NewTask) error
	CreateMany func(context.Context, []taskstore.NewTask) error
	// Get returns the id that it has read.
	Get func(ctx context.Context, id int64) (int64, error)
	// List reads the newest n tasks of an integration, or of all if that is 0, and returns how many there were.
	List func(ctx context.Context, integration int64, n int) (int, error)
	// Update writes t, which it has seen before, and puts the new version into it.
	Update func(ctx context.Context, t *taskstore.Task) error
	// Claim takes up to n tasks and returns how many it got.
	Claim func(ctx context.Context, n int) (int, error)
	// Complete ends one claimed task.
	Complete func(context.Context, taskstore.Task) error
	// Work claims up to n tasks, renews their leases if beat is set, completes them, and returns how
	// many there were.
	Work func(ctx context.Context, n int, beat bool) (int, error)

	// Close ends the peer's connections.
	Close func()
}

// Open connects every peer that uses the tasks table, each with a pool of up to conns connections.
// Those that work over pgx share one pool.
func Open(ctx context.Context, url string, conns int) ([]Peer, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns, config.MinConns = int32(conns), int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	orm, err := newGORM(ctx, url, conns)
	if err != nil {
		return nil, err
	}
	bunDB, err := newBun(url, conns)
	if err != nil {
		return nil, err
	}
	alone := newTaskstore(pool, taskstore.WithGroupCommit(false))
	alone.Name, alone.Close = "taskstore, alone", func() {} // taskstore closes the pool
	return []Peer{newTaskstore(pool), alone, newPGX(pool), newSQLC(pool), orm, bunDB}, nil
}

// NewTasks returns n tasks like those of a service: a few hundred integrations, many users, and an
// argument of some hundred bytes.
func NewTasks(n int) []taskstore.NewTask {
	ts := make([]taskstore.NewTask, n)
	for i := range ts {
		ts[i] = NewTask(int64(i))
	}
	return ts
}

// NewTask returns the i-th of NewTasks.
func NewTask(i int64) taskstore.NewTask {
	return taskstore.NewTask{
		IntegrationID: i%200 + 1,
		UserID:        i*7919%50_000 + 1,
		ClientID:      i*31%1_000 + 1,
		AccountID:     i*17%5_000 + 1,
		TemplateID:    i%20 + 1,
		Argument: `{"to":"user` + strconv.FormatInt(i, 10) +
			`@example.com","subject":"Your invoice is ready","locale":"en","attempt":1,"tags":["billing","monthly"]}`,
	}
}

// Fill does what NewTask does, in SQL: it inserts tasks $1 to $2-1 with status $3.
const Fill = `
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status)
SELECT i % 200 + 1, i * 7919 % 50000 + 1, i * 31 % 1000 + 1, i * 17 % 5000 + 1, i % 20 + 1,
    '{"to":"user' || i || '@example.com","subject":"Your invoice is ready",'
        || '"locale":"en","attempt":1,"tags":["billing","monthly"]}',
    $3::integer
FROM generate_series($1::bigint, $2::bigint - 1) AS i`
