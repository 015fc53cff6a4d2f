// Command metrics is a worker whose metrics Prometheus scrapes at http://localhost:9464/metrics, and dashboard.json
// shows them in Grafana. To have the same in a service, copy work.go and backlog.go, and do what serve does.
//
// It expects a migrated database in DATABASE_URL, and does nothing with its tasks but complete them.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tasklane/tasks/taskstore"
	"github.com/tasklane/tasks/taskwork"
)

// templates names the templates that this service has handlers for.
var templates = map[int64]string{1: "mail", 2: "report"}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Getenv("DATABASE_URL")); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, url string) error {
	if url == "" {
		return errors.New("set DATABASE_URL to a migrated database")
	}
	conns, err := pgxpool.ParseConfig(url)
	if err != nil {
		return err
	}
	cfg := taskwork.Config{Workers: 10, SilentFor: time.Minute}
	conns.MaxConns = int32(cfg.Workers) + 6 + 1 // the last one is for the backlog
	pool, err := pgxpool.NewWithConfig(ctx, conns)
	if err != nil {
		return err
	}
	defer pool.Close()
	page, err := new(net.ListenConfig).Listen(ctx, "tcp", "localhost:9464")
	if err != nil {
		return err
	}
	return serve(ctx, pool, page, cfg, func(ctx context.Context, _ taskstore.Task) error {
		return ctx.Err() // the work of a service would stand here
	})
}

// serve works until ctx ends, and serves its metrics meanwhile.
func serve(
	ctx context.Context, pool *pgxpool.Pool, page net.Listener, cfg taskwork.Config, h taskwork.Handler,
) error {
	registry := prometheus.NewRegistry()
	store := taskstore.New(pool)
	work := newWork(registry, templates)
	registry.MustRegister(
		backlog{store: store, pool: pool, silentFor: cfg.SilentFor},
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	cfg.Observe = work.observe

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(page) }()

	err := taskwork.Run(ctx, store, cfg, work.counted(h))
	err = errors.Join(err, server.Close())
	if page := <-served; !errors.Is(page, http.ErrServerClosed) {
		err = errors.Join(err, page)
	}
	return err
}
