// Command migrate measures how long writers wait during `taskmigrate up` on a table of 2,000,000 rows, and
// during a plain CREATE INDEX on the same table: the longest time that a single write took. Run it from
// the directory above: go run ./migrate
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/bench/pace"
	"github.com/tasklane/tasks/bench/taskmigrate"
	"github.com/tasklane/tasks/internal/document"
	"github.com/tasklane/tasks/internal/pgserver"
)

const writers = 8

// fill adds that many rows to the document's table.
const fill = `
INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument, status)
SELECT i %% 200 + 1, i * 7919 %% 50000 + 1, i * 31 %% 1000 + 1, i * 17 %% 5000 + 1, i %% 20 + 1, '{"n": ' || i || '}', 2
FROM generate_series(1::bigint, %d) AS i;
ANALYZE tasks;`

func main() {
	log.SetFlags(log.Ltime)
	rows := flag.Int("rows", 2_000_000, "rows of the table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *rows); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rows int) error {
	taskmigrate, remove, err := taskmigrate.Build(ctx)
	if err != nil {
		return err
	}
	defer remove()
	server, err := pgserver.Start(ctx, pgserver.Durable(),
		pgserver.Setting("shared_buffers", "2GB"), pgserver.Setting("max_wal_size", "16GB"))
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // it ends with the process in any case
	url, drop, err := server.CreateDatabase(ctx)
	if err != nil {
		return err
	}
	defer drop() //nolint:errcheck // it ends with the server
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return err
	}
	defer pool.Close()
	log.Printf("%d rows in the documented shape, without idx_task", rows)
	if _, err := pool.Exec(ctx, document.DDL+fmt.Sprintf(fill, rows)); err != nil {
		return err
	}

	migrate := func(args ...string) error { return taskmigrate(ctx, url, args...) }
	phases := []phase{
		{"no change", func() error { return pace.Sleep(ctx, 5*time.Second) }},
		{"taskmigrate up", func() error {
			if err := migrate("adopt", "--yes"); err != nil {
				return err
			}
			return migrate("up")
		}},
		{"plain CREATE INDEX", func() error {
			_, err := pool.Exec(ctx, "CREATE INDEX plain ON tasks (integration_id, client_id, template_id)")
			return err
		}},
	}
	longest := make(map[string]time.Duration)
	for _, p := range phases {
		res, err := p.measure(ctx, url)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		longest[p.name] = res.longest
		fmt.Printf("%-20s took %8v   %6d writes, %d failed, longest %v\n",
			p.name, res.took.Round(time.Millisecond), res.writes, res.failed, res.longest.Round(100*time.Microsecond))
		if res.failed > 0 {
			return fmt.Errorf("%s: a write failed: %w", p.name, res.err)
		}
	}
	fmt.Printf("up / plain CREATE INDEX: %.3f (wanted: under 0.1)\n",
		longest["taskmigrate up"].Seconds()/longest["plain CREATE INDEX"].Seconds())
	return migrate("verify")
}

type phase struct {
	name   string
	change func() error
}

type outcome struct {
	took, longest  time.Duration
	writes, failed int
	err            error // of one of the failed writes
}

// measure makes the change while the writers go on, and returns how long their writes took.
func (p phase) measure(ctx context.Context, url string) (outcome, error) {
	pool, err := pgxpool.New(ctx, url+"&pool_max_conns="+fmt.Sprint(writers))
	if err != nil {
		return outcome{}, err
	}
	defer pool.Close()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  outcome
		stop = make(chan struct{})
	)
	for range writers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(rand.Int64N(int64(4 * time.Millisecond)))):
				}
				begin := time.Now()
				err := write(ctx, pool)
				d := time.Since(begin)
				mu.Lock()
				all.writes++
				all.longest = max(all.longest, d)
				if err != nil {
					all.failed, all.err = all.failed+1, err
				}
				mu.Unlock()
			}
		})
	}
	err = pace.Sleep(ctx, time.Second)
	begin := time.Now()
	if err == nil {
		err = p.change()
	}
	took := time.Since(begin)
	close(stop)
	wg.Wait()
	all.took = took
	return all, err
}

// write inserts a task or changes the status of an old one.
func write(ctx context.Context, pool *pgxpool.Pool) error {
	n := rand.Int64N(2_000_000) + 1
	if n%2 == 0 {
		_, err := pool.Exec(ctx, "UPDATE tasks SET status = (status + 1) % 4 WHERE id = $1", n)
		return err
	}
	_, err := pool.Exec(ctx, `INSERT INTO tasks (integration_id, user_id, client_id, account_id, template_id, argument)
		VALUES ($1, $1, $1, $1, $1, '{}')`, n)
	return err
}
