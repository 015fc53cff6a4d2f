// Command bench compares package taskstore with what people would use instead, on one durable
// server, and prints the results. Run it from its own directory: go run .
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
	"runtime/pprof"
	"time"

	"github.com/tasklane/tasks/internal/pgserver"
)

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var o options
	flag.StringVar(&o.run, "run", "", "only the workloads whose name matches this regular expression")
	flag.StringVar(&o.peers, "peers", "", "only the entries whose label matches this regular expression; ours always runs")
	flag.IntVar(&o.rounds, "rounds", 5, "how often each is measured")
	flag.Float64Var(&o.seconds, "seconds", 1, "how long a measurement takes")
	flag.IntVar(&o.conns, "conns", 16, "the size of each peer's pool")
	flag.BoolVar(&o.quick, "quick", false, "a rough measurement in about two minutes: one round, fewer rows")
	flag.BoolVar(&o.scale, "scale", false, "claim latency in tables of 10 thousand to 10 million rows, and nothing else")
	flag.StringVar(&o.json, "json", "", "write the results to this file (default results.json, with -scale scale.json)")
	flag.StringVar(&o.svg, "svg", "../docs/bench", "draw the charts into this directory")
	flag.StringVar(&o.redraw, "redraw", "", "measure nothing: draw the charts of this file of results")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the client to this file")
	flag.Parse()
	if o.json == "" {
		o.json = map[bool]string{false: "results.json", true: "scale.json"}[o.scale]
	}
	if err := bench(ctx, o); err != nil {
		log.Fatal(err)
	}
}

type options struct {
	run, peers, json, svg, redraw, profile string
	rounds, conns                          int
	seconds                                float64
	quick, scale                           bool
}

func bench(ctx context.Context, o options) error {
	if o.quick {
		o.rounds, o.seconds = 1, 0.3
	}
	name, err := regexp.Compile(o.run)
	if err != nil {
		return err
	}
	label, err := regexp.Compile(o.peers)
	if err != nil {
		return err
	}
	if o.redraw != "" {
		return redraw(o)
	}
	server, err := startServer(ctx)
	if err != nil {
		return err
	}
	defer server.Close() //nolint:errcheck // it ends with the process in any case
	r := &runner{options: o, server: server, label: label, homes: make(map[string]*database)}
	defer r.close()
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	start := time.Now()
	var results []result
	for _, w := range workloads(o.quick) {
		if w.scale != o.scale || !name.MatchString(w.name) {
			continue
		}
		res, err := r.measure(ctx, w)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		results = append(results, res)
	}
	log.Printf("measured in %v", time.Since(start).Round(time.Second))
	rep := report{Machine: machine(ctx, server), Conns: o.conns, Rounds: o.rounds, Results: results}
	rep.print(os.Stdout)
	return rep.save(o)
}

func machine(ctx context.Context, server *pgserver.Server) string {
	var version string
	if err := readOne(ctx, server.URL, "SHOW server_version", &version); err != nil {
		version = err.Error()
	}
	return fmt.Sprintf("%d cores, %s/%s, %s, PostgreSQL %s (%s)",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), version, server.Source)
}
