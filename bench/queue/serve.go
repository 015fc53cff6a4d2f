package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const conns = 16 // of a pool

// peer is a system written in Go.
type peer interface {
	migrate(ctx context.Context) error
	// enqueue creates tasks with these payloads.
	enqueue(ctx context.Context, payloads []string) error
	// work starts a worker, which calls handle with each task's payload. stop waits until all is recorded.
	work(ctx context.Context, handlers int, how string, handle func(payload string)) (stop func() error, err error)
}

func newPeer(ctx context.Context, name, url string) (peer, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	switch name {
	case ours:
		return newTaskwork(pool), nil
	case riverDefault:
		return newRiver(pool, 0)
	case riverFast:
		return newRiver(pool, time.Millisecond)
	case handWritten:
		return newGORM(url)
	}
	return nil, fmt.Errorf("there is no system %q in Go", name)
}

// serve is a member's side of the conversation.
func serve(ctx context.Context, name, url string) error {
	p, err := newPeer(ctx, name, url)
	if err != nil {
		return err
	}
	w := newTally()
	stop := func() error { return nil }
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command := strings.Fields(lines.Text())
		n := 0
		if len(command) > 1 {
			if n, err = strconv.Atoi(command[1]); err != nil {
				return err
			}
		}
		var a answer
		switch command[0] {
		case "migrate":
			err = p.migrate(ctx)
		case "enqueue":
			err = p.enqueue(ctx, payloads(n))
		case "work":
			stop, err = p.work(ctx, n, strings.Join(command[2:], " "), w.handle)
		case "mark":
			a = w.mark()
		case "stop":
			err = stop()
			w.say()
		default:
			err = errors.New("no such command")
		}
		if err != nil {
			a = answer{Error: err.Error()}
		}
		w.send(a)
	}
	return lines.Err()
}

// payloads are what tasks are given: the time in microseconds, and what makes them of a usual length.
func payloads(n int) []string {
	ps := make([]string, n)
	for i := range ps {
		ps[i] = fmt.Sprintf(`{"at":%d,"to":"user%d@example.com",`, time.Now().UnixMicro(), i) +
			`"subject":"Your invoice is ready","tags":["billing","monthly"]}`
	}
	return ps
}

// tally has what a worker's handlers have done.
type tally struct {
	out     sync.Mutex
	mu      sync.Mutex
	done    int64
	saying  bool
	pickups []time.Duration
}

func newTally() *tally { return &tally{pickups: make([]time.Duration, 0, 1<<20)} }

// handle is the handler: it takes a millisecond.
func (w *tally) handle(payload string) {
	now := time.Now()
	var p struct {
		At int64 `json:"at"`
	}
	if err := json.Unmarshal([]byte(payload), &p); err != nil {
		panic(err)
	}
	time.Sleep(time.Millisecond)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done++
	if !w.saying { // for the producer to keep up
		w.saying = true
		time.AfterFunc(5*time.Millisecond, w.say)
	}
	if p.At > 0 {
		w.pickups = append(w.pickups, now.Sub(time.UnixMicro(p.At)))
	}
}

// say says how much is done.
func (w *tally) say() {
	w.mu.Lock()
	done := w.done
	w.saying = false
	w.mu.Unlock()
	if done > 0 {
		w.send(answer{Done: done})
	}
}

func (w *tally) send(a answer) {
	w.out.Lock()
	defer w.out.Unlock()
	_ = json.NewEncoder(os.Stdout).Encode(a) // nobody reads when the parent has ended
}

func (w *tally) mark() answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.Sort(w.pickups)
	at := func(percent int) float64 {
		if len(w.pickups) == 0 {
			return 0
		}
		return float64(w.pickups[min(len(w.pickups)*percent/100, len(w.pickups)-1)]) / float64(time.Millisecond)
	}
	var u syscall.Rusage
	cpu := 0.0
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
	}
	a := answer{P50: at(50), P95: at(95), P99: at(99), CPU: cpu}
	w.pickups = w.pickups[:0]
	return a
}
