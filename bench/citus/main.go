// Command citus measures a Store on a Citus cluster beside one on plain PostgreSQL, in one run in which each cell is
// measured on both in turn. Both databases are migrated and empty; the cluster's is distributed by schema/citus.sql:
//
//	go run ./citus -plain URL -citus URL
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/taskstore"
)

// batch is how many tasks a worker claims and completes at once.
const batch = 100

func main() {
	plain := flag.String("plain", "", "the database on plain PostgreSQL")
	citus := flag.String("citus", "", "the database of the cluster's coordinator")
	rounds := flag.Int("rounds", 5, "how often each cell is measured on each")
	length := flag.Duration("time", 3*time.Second, "how long a measurement takes")
	flag.Parse()
	err := bench(context.Background(), []*side{
		{url: *plain},
		{url: *citus, opts: []taskstore.Option{taskstore.WithCitus()}},
	}, *rounds, *length)
	if err != nil {
		log.Fatal(err)
	}
}

// side is one of the two databases.
type side struct {
	url  string
	opts []taskstore.Option
	pool *pgxpool.Pool
}

// cell is what is measured: a number of workers do something until the time is over. It returns how many tasks that
// was.
type cell struct {
	name    string
	workers int
	stock   int // tasks that are pending before
	work    func(ctx context.Context, s *taskstore.Store) (int, error)
}

var short atomic.Int64 // claims that came back short

func cells() []cell {
	list := []cell{{"create 1,000", 1, 0, create(1000)}, {"create 10", 1, 0, create(10)}}
	for _, workers := range []int{1, 4, 16} {
		list = append(list, cell{"claim and complete 100", workers, 60_000, process})
	}
	return list
}

func create(n int) func(context.Context, *taskstore.Store) (int, error) {
	return func(ctx context.Context, s *taskstore.Store) (int, error) {
		_, err := s.CreateMany(ctx, tasks(n))
		return n, err
	}
}

func process(ctx context.Context, s *taskstore.Store) (int, error) {
	ts, err := s.Claim(ctx, batch)
	if err != nil {
		return 0, err
	}
	if len(ts) < batch {
		short.Add(1)
	}
	return len(ts), s.Complete(ctx, ts...)
}

func tasks(n int) []taskstore.NewTask {
	ts := make([]taskstore.NewTask, n)
	for i := range ts {
		ts[i] = taskstore.NewTask{IntegrationID: int64(i % 10), TemplateID: int64(i % 5), Argument: `{"n": 1}`}
	}
	return ts
}

func bench(ctx context.Context, sides []*side, rounds int, length time.Duration) error {
	for _, s := range sides {
		config, err := pgxpool.ParseConfig(s.url)
		if err != nil {
			return err
		}
		config.MaxConns = 16
		if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
			return err
		}
		defer s.pool.Close()
		if n, err := taskstore.New(s.pool).Count(ctx, taskstore.Filter{}); err != nil || n > 0 {
			return cmp.Or(err, errors.New("the table is not empty"))
		}
	}
	fmt.Printf("%-24s %8s %10s %10s %6s %s\n", "", "workers", "plain/s", "citus/s", "ratio", "short claims (plain, citus)")
	for _, c := range cells() {
		var rates [2][]float64
		var shorts [2]int64
		for range rounds {
			for i, s := range sides {
				short.Store(0)
				rate, err := s.measure(ctx, c, length)
				if err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
				rates[i] = append(rates[i], rate)
				shorts[i] += short.Load()
			}
		}
		plain, citus := median(rates[0]), median(rates[1])
		fmt.Printf("%-24s %8d %10.0f %10.0f %6.2f %v\n", c.name, c.workers, plain, citus, citus/plain, shorts)
	}
	return nil
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// measure returns how many tasks a second the workers get through, each with a Store of its own.
func (s *side) measure(ctx context.Context, c cell, length time.Duration) (float64, error) {
	if _, err := s.pool.Exec(ctx, "TRUNCATE tasks"); err != nil {
		return 0, err
	}
	for range c.stock / 10_000 {
		if _, err := taskstore.New(s.pool, s.opts...).CreateMany(ctx, tasks(10_000)); err != nil {
			return 0, err
		}
	}
	var done atomic.Int64
	var running sync.WaitGroup
	failures := make(chan error, c.workers)
	began := time.Now()
	for range c.workers {
		store := taskstore.New(s.pool, s.opts...)
		running.Go(func() {
			for time.Since(began) < length && (c.stock == 0 || done.Load() < int64(c.stock-c.workers*batch)) {
				n, err := c.work(ctx, store)
				if err != nil {
					failures <- err
					return
				}
				done.Add(int64(n))
			}
		})
	}
	running.Wait()
	took := time.Since(began)
	select {
	case err := <-failures:
		return 0, err
	default:
		return float64(done.Load()) / took.Seconds(), nil
	}
}
