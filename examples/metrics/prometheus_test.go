package main

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/tasklane/tasks/internal/migrate/dbtest"
)

const job = "tasks" // as Prometheus is configured here

// promServer is a Prometheus of a test's own.
type promServer struct{ api promv1.API }

var listening = regexp.MustCompile(`Listening on.*address=(\S+)`)

// startPrometheus starts a Prometheus that scrapes target every second. It ends with the test, or with the test's
// process, whichever is first.
func startPrometheus(t *testing.T, target string) promServer {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("no prometheus on this machine, so this was not tried; install it: apt-get install prometheus")
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf(`
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs: [{job_name: %s, static_configs: [{targets: [%q]}]}]
`, job, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	// Standard input is a pipe whose other end only this process holds.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", "-c",
		`"$@" 2>&1 & cat; kill $!; wait`, "sh", program, "--config.file="+config,
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=localhost:0")
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	var said string // all that it said
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			said += lines.Text() + "\n"
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				address <- found[1]
			}
		}
	}()
	t.Cleanup(func() {
		_ = alive.Close()
		<-read
		if err := cmd.Wait(); err != nil {
			t.Error("prometheus: ", err)
		}
		if t.Failed() {
			t.Log(said)
		}
	})
	select {
	case at := <-address:
		client, err := api.NewClient(api.Config{Address: "http://" + at})
		if err != nil {
			t.Fatal(err)
		}
		return promServer{promv1.NewAPI(client)}
	case <-read:
		t.Fatal("prometheus ended before it listened")
		return promServer{}
	}
}

// becomes waits until the query's answer is one series, with that value.
func (p promServer) becomes(t *testing.T, query string, want float64) {
	t.Helper()
	p.eventually(t, query, func(answer model.Vector) bool {
		return len(answer) == 1 && float64(answer[0].Value) == want
	})
}

// shows waits until the query's answer has something that can be drawn.
func (p promServer) shows(t *testing.T, query string) {
	t.Helper()
	p.eventually(t, query, func(answer model.Vector) bool {
		return len(answer) > 0 && !slices.ContainsFunc(answer, func(s *model.Sample) bool {
			return math.IsNaN(float64(s.Value))
		})
	})
}

// eventually waits for such an answer. There is none while Prometheus starts, nor after a scrape that was too slow.
func (p promServer) eventually(t *testing.T, query string, such func(model.Vector) bool) {
	t.Helper()
	dbtest.Eventually(t, func() string {
		answer, _, _, err := p.api.Query(t.Context(), query, time.Now())
		if vector, ok := answer.(model.Vector); ok && err == nil && such(vector) {
			return ""
		}
		return fmt.Sprintf("%s has the answer %v (%v)", query, answer, err)
	})
}
