// Command queue compares package taskwork with other job queues over PostgreSQL: what they complete beside a producer,
// also beside old snapshots, how long tasks wait, and what an idle worker costs. Run it from the directory above:
// go run ./queue. The peers from npm need `npm ci` in ./node before.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"time"

	"github.com/tasklane/tasks/bench/page"
	"github.com/tasklane/tasks/internal/pgserver"
)

type options struct {
	cells, systems *regexp.Regexp
	rounds         int
	measure, hold  time.Duration // a measurement, and a held snapshot
	pickups        int           // of a task on an idle system
	save           bool
}

const resultsFile = "queue.json"

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 4 && os.Args[1] == "member" {
		if err := serve(ctx, os.Args[2], os.Args[3]); err != nil {
			log.Fatal(err)
		}
		return
	}
	var o options
	cells := flag.String("cells", "", "only the cells whose name matches this regular expression")
	names := flag.String("systems", "", "only the systems whose name matches this regular expression; ours always runs")
	flag.IntVar(&o.rounds, "rounds", 3, "how often a cell is measured, but for those that take long")
	flag.DurationVar(&o.measure, "measure", 3*time.Second, "how long a measurement takes")
	flag.DurationVar(&o.hold, "hold", 2*time.Minute, "how long a snapshot is held; what else takes long is in proportion")
	flag.IntVar(&o.pickups, "pickups", 60, "how many tasks are created on an idle system")
	quick := flag.Bool("quick", false, "a rough measurement in about four minutes")
	flag.BoolVar(&o.save, "save", false, "keep the results in "+resultsFile+" and "+page.File)
	flag.Parse()
	if *quick {
		o.rounds, o.measure, o.hold, o.pickups = 1, time.Second, 4*time.Second, 3
	}
	var err error
	if o.cells, err = regexp.Compile(*cells); err == nil {
		o.systems, err = regexp.Compile(*names)
	}
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, o options) error {
	server, err := pgserver.Start(ctx, pgserver.Durable(),
		pgserver.Setting("max_connections", "500"),
		pgserver.Setting("shared_buffers", "2GB"),
		pgserver.Setting("max_wal_size", "16GB"),
		pgserver.Setting("checkpoint_timeout", "1h"), // autovacuum stays as it is: a queue needs it
	)
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // it ends with the process in any case
	var rep report
	if o.save {
		if err := rep.read(resultsFile); err != nil {
			return err
		}
	}
	var version string
	if err := read(ctx, server.URL, "SHOW server_version", &version); err != nil {
		return err
	}
	rep.Machine = fmt.Sprintf("%d cores, %s/%s, %s, PostgreSQL %s (%s)",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), version, server.Source)
	if rep.Versions, err = versions(); err != nil {
		return err
	}
	start := time.Now()
	for _, c := range allCells(o) {
		if !o.cells.MatchString(c.name) {
			continue
		}
		res, err := c.run(ctx, server)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rep.put(res)
		if !o.save {
			continue
		}
		if err := errors.Join(rep.save(resultsFile), rep.writePage()); err != nil {
			return err
		}
	}
	log.Printf("measured in %v", time.Since(start).Round(time.Second))
	fmt.Print(rep.markdown())
	return nil
}
