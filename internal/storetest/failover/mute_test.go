//go:build unix

package failover

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tasklane/tasks/internal/storetest"
	"github.com/tasklane/tasks/taskstore"
)

// network is a proxy that can go mute: it accepts everything, passes nothing on and closes nothing.
type network struct {
	listener net.Listener
	to       string // the server's socket
	mu       sync.Mutex
	speaks   chan struct{} // closed while it speaks
	conns    []net.Conn
}

func startNetwork(t *testing.T, server *node) *network {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{listener: listener, to: server.dir + "/.s.PGSQL." + server.port, speaks: make(chan struct{})}
	close(n.speaks)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			n.keep(client)
			serving.Go(func() { n.serve(client) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		n.mu.Lock()
		for _, c := range n.conns {
			c.Close()
		}
		n.mu.Unlock()
		serving.Wait()
	})
	return n
}

func (n *network) keep(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, c)
}

func (n *network) serve(client net.Conn) {
	defer client.Close()
	n.wait()
	server, err := net.Dial("unix", n.to)
	if err != nil {
		return
	}
	defer server.Close()
	n.keep(server)
	var back sync.WaitGroup
	back.Go(func() {
		n.pass(client, server)
		client.Close()
	})
	n.pass(server, client)
	server.Close()
	back.Wait()
}

// pass passes on what comes from one side while the network speaks.
func (n *network) pass(to io.Writer, from io.Reader) {
	buf := make([]byte, 64<<10)
	for {
		read, err := from.Read(buf)
		n.wait()
		if read > 0 {
			if _, err := to.Write(buf[:read]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (n *network) wait() {
	n.mu.Lock()
	speaks := n.speaks
	n.mu.Unlock()
	<-speaks
}

// mute makes the network mute until the function that it returns is called.
func (n *network) mute() (speak func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	speaks := make(chan struct{})
	n.speaks = speaks
	return sync.OnceFunc(func() { close(speaks) })
}

// sends is what a method sends first.
type sends int

const (
	aRead sends = iota
	aWrite
	either // what the Store remembers decides
)

// methods are all of the store's that send something.
var methods = map[string]struct {
	sends sends
	call  func(ctx context.Context, s *taskstore.Store) error
}{
	"Create": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Create(ctx, storetest.NewTask(1))
		return err
	}},
	"CreateMany": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.CreateMany(ctx, storetest.NewTasks(2))
		return err
	}},
	"GetByKey": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.GetByKey(ctx, "key")
		return err
	}},
	"Get": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Get(ctx, 1)
		return err
	}},
	"List": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.List(ctx, taskstore.ByUser(1), taskstore.Page{})
		return err
	}},
	"All": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		for _, err := range s.All(ctx, taskstore.ByUser(1)) {
			if err != nil {
				return err
			}
		}
		return nil
	}},
	"Count": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Count(ctx, taskstore.ByUser(1))
		return err
	}},
	"CountByStatus": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.CountByStatus(ctx)
		return err
	}},
	"Backlog": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Backlog(ctx)
		return err
	}},
	"Failures": {aRead, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Failures(ctx, 1)
		return err
	}},
	"Update": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Update(ctx, taskstore.Task{ID: 1})
		return err
	}},
	"SetStatus": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.SetStatus(ctx, taskstore.Task{ID: 1}, taskstore.Failed)
		return err
	}},
	"Delete": {aWrite, func(ctx context.Context, s *taskstore.Store) error { return s.Delete(ctx, 1) }},
	"Claim": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Claim(ctx, 1)
		return err
	}},
	"ClaimBy": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.ClaimBy(ctx, taskstore.ByTemplate(1), 1)
		return err
	}},
	"ClaimFair": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.ClaimFair(ctx, 1)
		return err
	}},
	"Exchange": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Exchange(ctx, taskstore.Ended{Completed: []taskstore.Task{{ID: 1}}}, taskstore.Filter{}, 1)
		return err
	}},
	"Heartbeat": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		return s.Heartbeat(ctx, []taskstore.Task{{ID: 1}})
	}},
	"Complete": {aWrite, func(ctx context.Context, s *taskstore.Store) error { return s.Complete(ctx, taskstore.Task{ID: 1}) }},
	"Fail":     {aWrite, func(ctx context.Context, s *taskstore.Store) error { return s.Fail(ctx, taskstore.Task{ID: 1}) }},
	"Release":  {aWrite, func(ctx context.Context, s *taskstore.Store) error { return s.Release(ctx, taskstore.Task{ID: 1}) }},
	"FailWith": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		return s.FailWith(ctx, taskstore.Failure{Task: taskstore.Task{ID: 1}, Reason: "reason"})
	}},
	"Retry": {aWrite, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.Retry(ctx, 1)
		return err
	}},
	"RetryDue": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.RetryDue(ctx, taskstore.Filter{}, 1)
		return err
	}},
	"RequeueStale": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.RequeueStale(ctx, taskstore.Filter{}, time.Minute, 1)
		return err
	}},
	"DeleteFinished": {either, func(ctx context.Context, s *taskstore.Store) error {
		_, err := s.DeleteFinished(ctx, time.Now(), 1)
		return err
	}},
}

// The network goes mute: no answer, no reset. Each method returns when its context's deadline has come, and says
// truly whether it may have written. When the network speaks again, so does the pool.
func TestMuteNetwork(t *testing.T) {
	t.Parallel()
	server := startPrimary(t)
	net := startNetwork(t, server)

	kind := reflect.TypeFor[*taskstore.Store]()
	for i := range kind.NumMethod() {
		if name := kind.Method(i).Name; methods[name].call == nil && name != "WithTx" {
			t.Errorf("method %s is not tested", name)
		}
	}

	stores := map[string]*taskstore.Store{}
	for name, m := range methods {
		stores[name] = taskstore.New(net.connect(t, server, 2))
		_ = m.call(t.Context(), stores[name]) // prepares its statements; what it finds does not matter
	}
	shared := taskstore.New(net.connect(t, server, 8))
	if _, err := shared.Create(t.Context(), storetest.NewTask(1)); err != nil {
		t.Fatal(err)
	}

	speak := net.mute()
	defer speak()
	var calls sync.WaitGroup
	for name, m := range methods {
		calls.Go(func() {
			err := late(t, name+" when the network goes mute", func(ctx context.Context) error { return m.call(ctx, stores[name]) })
			if m.sends != either && errors.Is(err, taskstore.ErrUncertain) != (m.sends == aWrite) {
				t.Errorf("%s when the network goes mute: %v; is it uncertain?", name, err)
			}
			err = late(t, name+" when there is no connection", func(ctx context.Context) error { return m.call(ctx, stores[name]) })
			if errors.Is(err, taskstore.ErrUncertain) {
				t.Errorf("%s when there is no connection: %v; nothing was sent", name, err)
			}
		})
	}
	for range 100 { // of which most share statements
		calls.Go(func() {
			_ = late(t, "a shared Create", func(ctx context.Context) error {
				_, err := shared.Create(ctx, storetest.NewTask(1))
				return err
			})
		})
	}
	calls.Wait() // it is mute still

	speak()
	for name, s := range stores {
		eventually(t, name+" when the network speaks again", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			return !errors.Is(methods[name].call(ctx, s), context.DeadlineExceeded)
		})
	}
}

// late runs a call of which nothing but its deadline can be the end.
func late(t *testing.T, what string, call func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := call(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() == nil {
		t.Errorf("%s: %v; want its deadline", what, err)
	}
	return err
}

// connect opens a pool through the network.
func (n *network) connect(t *testing.T, server *node, conns int32) *pgxpool.Pool {
	t.Helper()
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", server.password), Host: n.listener.Addr().String(),
		Path: "/postgres", RawQuery: "sslmode=disable&connect_timeout=2"}
	config, err := pgxpool.ParseConfig(u.String())
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = conns
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// A transaction of a client that is no longer heard holds its rows for no longer than the server is told to wait for it.
func TestMuteTransactionEnds(t *testing.T) {
	t.Parallel()
	server := startPrimary(t)
	net := startNetwork(t, server)
	store := taskstore.New(connect(t, asIs, server))
	task, err := store.Create(t.Context(), storetest.NewTask(1))
	server.must(err)

	pool := net.connect(t, server, 1)
	tx, err := pool.Begin(t.Context())
	server.must(err)
	_, err = tx.Exec(t.Context(), `SET LOCAL idle_in_transaction_session_timeout = '100ms'`)
	server.must(err)
	_, err = store.WithTx(tx).SetStatus(t.Context(), task, taskstore.Completed)
	server.must(err)
	speak := net.mute()
	defer speak()

	// It waits for the row, gets it, and finds it as it was.
	if _, err := store.SetStatus(t.Context(), task, taskstore.Failed); err != nil {
		t.Error(err)
	}
	_ = late(t, "the commit", tx.Commit)
}
