// Command queue compares package taskwork with other job queues over PostgreSQL: what they complete beside a producer,
// also beside old snapshots, how long tasks wait, and what an idle worker costs. Run it from the directory above:
// go run ./queue. The peers from npm need `npm ci` in ./node before.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"time"

	"github.com/tasklane/tasks/internal/pgserver"
)

type options struct {
	cells, systems *regexp.Regexp
	rounds         int
	measure, hold  time.Duration // of a cell, and of one beside old snapshots
	pickups        int           // of a task on an idle system
	json, profiles string
}

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) == 4 && os.Args[1] == "member" {
		if err := serve(ctx, os.Args[2], os.Args[3]); err != nil {
			log.Fatalf("%s: %v", os.Args[2], err)
		}
		return
	}
	var o options
	cells := flag.String("cells", "", "only the cells whose name matches this regular expression")
	names := flag.String("systems", "", "only the systems whose name matches this regular expression")
	flag.IntVar(&o.rounds, "rounds", 3, "how often each cell is measured, but for those that take minutes")
	flag.DurationVar(&o.measure, "measure", 5*time.Second, "how long a measurement takes")
	flag.DurationVar(&o.hold, "hold", 2*time.Minute, "how long one beside old snapshots takes")
	flag.IntVar(&o.pickups, "pickups", 25, "how many tasks are created on an idle system, by each way")
	quick := flag.Bool("quick", false, "a rough measurement in about four minutes")
	flag.StringVar(&o.json, "json", "queue.json", "write the results to this file")
	flag.StringVar(&o.profiles, "profiles", "", "write CPU profiles of our own processes into this directory")
	flag.Parse()
	if *quick {
		o.rounds, o.measure, o.hold, o.pickups = 1, 2*time.Second, 8*time.Second, 3
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
		pgserver.Setting("max_connections", "300"),
		pgserver.Setting("shared_buffers", "2GB"),
		pgserver.Setting("max_wal_size", "16GB"),
		pgserver.Setting("checkpoint_timeout", "1h"), // autovacuum stays as it is: a queue needs it
	)
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // it ends with the process in any case
	var version string
	if err := query(ctx, server.URL, "SHOW server_version", &version); err != nil {
		return err
	}
	rep := report{
		Machine: fmt.Sprintf("%d cores, %s/%s, %s, PostgreSQL %s (%s)",
			runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), version, server.Source),
		Rounds: o.rounds, Measure: o.measure.Seconds(), Hold: o.hold.Seconds(),
	}
	start := time.Now()
	for _, c := range allCells(o) {
		if !o.cells.MatchString(c.name) {
			continue
		}
		res, err := c.run(ctx, server, o)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		rep.Cells = append(rep.Cells, res)
		if err := rep.save(o.json); err != nil {
			return err
		}
	}
	log.Printf("measured in %v", time.Since(start).Round(time.Second))
	rep.Targets = judge(rep.Cells)
	rep.print(os.Stdout)
	return rep.save(o.json)
}
